// Every word on the page, in two languages, and how it gets there. Text is only ever set as text, never as markup.

export const WORDS = {
  en: {
    title: "Speech to text",
    drop: "Drop audio files here, or",
    choose: "Choose files",
    record: "Record",
    stop: "Stop and transcribe",
    discard: "Discard",
    level: "Level of the microphone",
    spoken: "Spoken language",
    detect: "detect",
    translate: "Translate into English",
    limit: "Voice notes, music and video files up to {size} MB; several at once wait their turn.",
    private: "Audio goes to this gateway and its daemon, nowhere else.",
    model: "Model:",
    token: "Token",
    tokenHelp: "This gateway asks for one. Whoever runs it can give it to you; it is kept until you close this tab.",
    cancel: "Cancel",
    again: "Try again",
    remove: "Remove",
    copy: "Copy text",
    copied: "Copied",
    notCopied: "Could not copy: save TXT",
    hint: "Choose a line to hear it, again to pause. Arrow keys go from line to line.",
    deaf: "This browser cannot play this file; the text is not affected.",
    waiting: "Waits for its turn.",
    noDaemon: "No daemon is at work right now. This file waits and goes on by itself when there is one.",
    needsToken: "Waits for a token: type it in above.",
    uploading: "Uploading: {percent} %",
    queued: "Uploaded; waits for the first words.",
    working: "Transcribing: {percent} %",
    done: "Done: {time}, {language}.{missing}",
    silent: "Done: no speech was found in {time} of audio.{missing}",
    cut: " The recording is damaged: a part of it is missing.",
    dropped: " Left out, as most probably not said: {dropped}",
    cancelled: "Cancelled.",
    recordingName: "recording",
    insecure: "Recording needs HTTPS, or this page opened on the gateway's own machine. Choose a file instead.",
    notAllowed: "The browser may not use the microphone. Allow it for this page (next to the address), then press Record again.",
    noMicrophone: "No microphone was found. Connect one and press Record again, or choose a file.",
    microphoneFailed: "The microphone could not be used: another program may hold it. Close that, then press Record again.",
    errNetwork: "The gateway does not answer. Check that it runs and that you are connected, then try again.",
    errBroken: "The connection broke off before the text was complete. Try again.",
    errToken: "The gateway does not know this token. Check it, type it in above, and the file goes on.",
    errUnreadable: "No sound could be read from this file: it is damaged, or it is no audio. If it plays elsewhere, save it in another format (MP3, WAV) and try that.",
    errNoAudio: "There is no sound track in this file. Choose another one.",
    errEmpty: "This file is empty. Choose another one, or record again.",
    errLarge: "This file is too large: the gateway takes up to {size} MB. Cut it in parts, or save it in a smaller format (Opus, MP3).",
    errLong: "This recording is longer than the daemon takes. Cut it in parts.",
    errSlow: "The upload was too slow for this gateway. Try again with a better connection, or with a smaller file.",
    errBusy: "The gateway is busy. Try again in {seconds} seconds.",
    errAway: "The daemon cannot be reached right now. Try again in {seconds} seconds; if that does not help, tell whoever runs it.",
    errTimeout: "No answer came in time: the queue is long, or no daemon is at work. Try again later.",
    errRefused: "The gateway refused this: {message}",
    errOther: "The transcription failed ({message}). Try again; if it fails again, tell whoever runs the gateway this number: {id}",
  },
  ru: {
    title: "Речь в текст",
    drop: "Перетащите сюда аудиофайлы или",
    choose: "Выбрать файлы",
    record: "Записать",
    stop: "Остановить и распознать",
    discard: "Отменить запись",
    level: "Громкость микрофона",
    spoken: "Язык речи",
    detect: "определить",
    translate: "Перевести на английский",
    limit: "Голосовые сообщения, музыка и видео до {size} МБ; несколько файлов ждут своей очереди.",
    private: "Звук уходит только этому шлюзу и его распознавателю.",
    model: "Модель:",
    token: "Токен",
    tokenHelp: "Этот шлюз требует токен. Его даст тот, кто ведёт шлюз; он хранится, пока открыта вкладка.",
    cancel: "Отменить",
    again: "Повторить",
    remove: "Убрать",
    copy: "Скопировать текст",
    copied: "Скопировано",
    notCopied: "Не скопировалось: сохраните TXT",
    hint: "Нажмите на строку, чтобы её услышать, ещё раз — пауза. Стрелки переходят от строки к строке.",
    deaf: "Браузер не умеет проигрывать этот файл; на текст это не влияет.",
    waiting: "Ждёт своей очереди.",
    noDaemon: "Распознаватель сейчас не работает. Файл ждёт и продолжит сам, когда он заработает.",
    needsToken: "Ждёт токена: введите его выше.",
    uploading: "Загрузка: {percent} %",
    queued: "Загружено; ждёт первых слов.",
    working: "Распознавание: {percent} %",
    done: "Готово: {time}, {language}.{missing}",
    silent: "Готово: речи не найдено, длина записи {time}.{missing}",
    cut: " Запись повреждена: части не хватает.",
    dropped: " Убрано, скорее всего не сказано: {dropped}",
    cancelled: "Отменено.",
    recordingName: "запись",
    insecure: "Запись работает только по HTTPS или на самой машине шлюза. Выберите файл.",
    notAllowed: "Браузеру нельзя пользоваться микрофоном. Разрешите это для страницы (рядом с адресом) и снова нажмите «Записать».",
    noMicrophone: "Микрофон не найден. Подключите его и снова нажмите «Записать» или выберите файл.",
    microphoneFailed: "Микрофон недоступен: возможно, он занят другой программой. Закройте её и снова нажмите «Записать».",
    errNetwork: "Шлюз не отвечает. Проверьте, что он работает и что есть связь, и повторите.",
    errBroken: "Связь прервалась до конца текста. Повторите.",
    errToken: "Шлюз не знает этого токена. Проверьте его и введите выше, файл продолжит сам.",
    errUnreadable: "Из этого файла не удалось прочитать звук: он повреждён или это не аудио. Если где-то он играет, сохраните его в другом формате (MP3, WAV) и попробуйте снова.",
    errNoAudio: "В этом файле нет звуковой дорожки. Выберите другой.",
    errEmpty: "Этот файл пуст. Выберите другой или запишите снова.",
    errLarge: "Файл слишком велик: шлюз берёт до {size} МБ. Разрежьте его или сохраните в меньшем формате (Opus, MP3).",
    errLong: "Запись длиннее, чем берёт распознаватель. Разрежьте её на части.",
    errSlow: "Загрузка шла слишком медленно. Повторите при лучшей связи или возьмите файл поменьше.",
    errBusy: "Шлюз занят. Повторите через {seconds} с.",
    errAway: "Распознаватель сейчас недоступен. Повторите через {seconds} с; если не поможет, скажите тому, кто ведёт шлюз.",
    errTimeout: "Ответ не пришёл вовремя: очередь длинная или распознаватель не работает. Повторите позже.",
    errRefused: "Шлюз отказал: {message}",
    errOther: "Распознать не удалось ({message}). Повторите; если не выйдет снова, скажите тому, кто ведёт шлюз, этот номер: {id}",
  },
};

const KEPT = "sttd-page-language";
const values = new WeakMap(); // element -> what fills the gaps of its sentence
let tongue = chosen();

function chosen() {
  const kept = localStorage.getItem(KEPT);
  if (kept in WORDS) return kept;
  return navigator.language.toLowerCase().startsWith("ru") ? "ru" : "en";
}

export const current = () => tongue;

// The sentence of this key. A value may be a function: it is asked again when the language changes.
export function say(key, given = {}) {
  return WORDS[tongue][key].replace(/\{(\w+)\}/g, (_, name) => (typeof given[name] === "function" ? given[name]() : given[name]));
}

// Puts a sentence into an element and remembers it, so that it changes with the language. An empty key empties the element.
export function put(element, key, given = {}) {
  element.dataset.say = key;
  values.set(element, given);
  element.textContent = key ? say(key, given) : "";
}

export function languageName(code) {
  return new Intl.DisplayNames([tongue], { type: "language" }).of(code === "jw" ? "jv" : code); // Whisper's own code for Javanese
}

export function apply(root) {
  for (const element of root.querySelectorAll("[data-say]")) put(element, element.dataset.say, values.get(element));
  for (const element of root.querySelectorAll("[data-say-label]")) element.setAttribute("aria-label", say(element.dataset.sayLabel));
}

export function change(to) {
  tongue = to;
  localStorage.setItem(KEPT, to);
  document.documentElement.lang = to;
  document.title = say("title");
  apply(document);
}
