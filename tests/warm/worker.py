"""What a worker and a relay import, except what reads settings or starts threads."""

import celery.apps.worker
import celery.bin.celery
import celery.concurrency.thread
import celery.worker.consumer
import celery.worker.control
import kombu.transport.pyamqp
import sqlalchemy.dialects.postgresql.psycopg

import foreman.services.deliver
import foreman.services.old_queues
import foreman.services.relay
import foreman.services.retain
import foreman.worker.assembly
import foreman.worker.carrying_out
import foreman.worker.step
from tests.warm.forking import serve

__all__ = ["celery", "foreman", "kombu", "sqlalchemy"]

if __name__ == "__main__":
    serve()
