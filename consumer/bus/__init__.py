"""RabbitMQ as the daemon sees it; the only package in consumer/ that imports aio_pika."""
