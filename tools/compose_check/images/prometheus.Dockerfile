# Stands in for prom/prometheus: Debian's Prometheus of the same line, with the official image's user and directories.
FROM sttd-root:prometheus
RUN install --directory --owner nobody --group nogroup /prometheus
USER nobody
WORKDIR /prometheus
ENTRYPOINT ["/bin/prometheus"]
