"""The daemon's side of RabbitMQ; the only package in consumer/ that imports aio_pika."""
