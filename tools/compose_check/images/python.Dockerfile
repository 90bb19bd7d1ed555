# Stands in for python:3.11-slim-bookworm: the same Debian, with Debian's Python 3.11.
# The context is the machine's own configuration for its package index.
FROM sttd-root:python
RUN ln -s /usr/bin/python3 /usr/local/bin/python
COPY . /
CMD ["python3"]
