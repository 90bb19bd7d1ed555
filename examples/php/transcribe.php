<?php
// Files in, texts out, from PHP: php-amqplib and an exclusive reply queue, nothing of ours.
// `php transcribe.php note.ogg more.mp3`; all notes are sent at once, answers are told apart by correlation id.

declare(strict_types=1);

use PhpAmqpLib\Connection\AMQPStreamConnection;
use PhpAmqpLib\Exception\AMQPExceptionInterface;
use PhpAmqpLib\Exception\AMQPTimeoutException;
use PhpAmqpLib\Message\AMQPMessage;
use PhpAmqpLib\Wire\AMQPTable;

const TIMEOUT = 120; // seconds for all notes together

// Composer's autoloader in a project of yours; Debian's package php-amqplib otherwise.
$composer = __DIR__ . '/vendor/autoload.php';
require is_file($composer) ? $composer : 'PhpAmqpLib/autoload.php';

$stderr = fopen('php://stderr', 'w');
$notes = [];
foreach (array_slice($argv, 1) as $path) { // a wrong name ends the program before anything is sent
    $notes[$path] = is_dir($path) ? false : @file_get_contents($path);
    if ($notes[$path] === false) {
        fwrite($stderr, "$path: no such file, or it cannot be read\n");
        exit(1);
    }
}

$url = parse_url(getenv('STTD_AMQP_URL') ?: 'amqp://guest:guest@127.0.0.1:5672/');
$vhost = rawurldecode(substr($url['path'] ?? '/', 1));
try {
    $connection = new AMQPStreamConnection(
        $url['host'],
        $url['port'] ?? 5672,
        rawurldecode($url['user'] ?? 'guest'),
        rawurldecode($url['pass'] ?? 'guest'),
        $vhost === '' ? '/' : $vhost,
    );
} catch (AMQPExceptionInterface $error) {
    fwrite($stderr, "no connection to RabbitMQ: {$error->getMessage()}\n");
    exit(1);
}
$channel = $connection->channel();
$channel->confirm_select();

$waiting = [];
$failed = false;

$channel->set_return_listener(function () use ($stderr): void {
    fwrite($stderr, "queue stt.requests does not exist: no daemon has ever served this RabbitMQ\n");
    exit(1);
});
$channel->set_nack_handler(function () use ($stderr): void {
    fwrite($stderr, "RabbitMQ did not take a note: the queue is full, try later\n");
    exit(1);
});

[$inbox] = $channel->queue_declare('', false, false, true);
$channel->basic_consume($inbox, '', false, true, true, false, function (AMQPMessage $message) use (&$waiting, &$failed): void {
    $id = $message->get('correlation_id');
    if (!isset($waiting[$id]) || $message->get('type') === 'stt.progress.v1') {
        return;
    }
    $reply = json_decode($message->getBody(), true, 512, JSON_THROW_ON_ERROR);
    $failed = $failed || $reply['status'] === 'failed';
    echo $waiting[$id], ': ', $reply['status'] === 'completed' ? $reply['text'] : $reply['error']['code'], "\n";
    unset($waiting[$id]);
});

foreach ($notes as $path => $note) {
    $id = bin2hex(random_bytes(16));
    $waiting[$id] = $path;
    $channel->basic_publish(new AMQPMessage($note, [
        'correlation_id' => $id,
        'message_id' => $id,
        'reply_to' => $inbox,
        'delivery_mode' => AMQPMessage::DELIVERY_MODE_PERSISTENT,
        'timestamp' => time(),
        'application_headers' => new AMQPTable(['stt-language' => 'ru', 'stt-deadline' => (string) ((time() + TIMEOUT) * 1000)]),
    ]), '', 'stt.requests', true);
}
$channel->wait_for_pending_acks_returns(TIMEOUT);

$end = time() + TIMEOUT;
try {
    while ($waiting && time() < $end) {
        $channel->wait(null, false, $end - time());
    }
} catch (AMQPTimeoutException) {
    // said below, by name
} catch (AMQPExceptionInterface $error) {
    fwrite($stderr, "the connection to RabbitMQ is gone: {$error->getMessage()}\n");
    exit(1);
}
foreach ($waiting as $path) {
    fwrite($stderr, "$path: no answer within " . TIMEOUT . " s\n");
}
$connection->close();
exit($failed || $waiting ? 1 : 0);
