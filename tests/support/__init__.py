"""What tests share: the broker, raw AMQP, clients."""
