# Stands in for rabbitmq:4-management: Debian's RabbitMQ with the official image's user, directories and defaults.
FROM sttd-root:rabbitmq
RUN groupmod --non-unique --gid 999 rabbitmq \
    && usermod --non-unique --uid 999 --gid 999 rabbitmq \
    && install --directory --owner rabbitmq --group rabbitmq /etc/rabbitmq/conf.d /var/log/rabbitmq \
    && printf 'loopback_users.guest = false\nlog.console = true\n' >/etc/rabbitmq/conf.d/10-defaults.conf \
    && chown --recursive rabbitmq:rabbitmq /var/lib/rabbitmq
ENV PATH=/usr/lib/rabbitmq/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/var/lib/rabbitmq LANG=C.UTF-8
CMD ["rabbitmq-server"]
