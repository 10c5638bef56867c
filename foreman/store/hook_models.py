"""The tables of webhooks: who is told of a job, what is owed, what was tried."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    CheckConstraint,
    ForeignKey,
    Index,
    Integer,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from foreman.core.states import DeliveryState
from foreman.store.models import Base

_STATES = ", ".join(f"'{state}'" for state in DeliveryState)


class Hook(Base):
    """Who is told of a job's events; jobs whose client waits on its connection have none."""

    __tablename__ = "hooks"

    job_id: Mapped[UUID] = mapped_column(
        ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True
    )
    url: Mapped[str]
    receiver: Mapped[str]  # scheme://host:port
    events: Mapped[list[str] | None] = mapped_column(ARRAY(Text))  # None: all of them
    # Sealed where FOREMAN_SECRET_KEY is set; the newest first. None at all: FOREMAN_WEBHOOK_SECRET.
    secrets: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=text("'{}'"))
    old_secrets_until: Mapped[datetime | None]  # the first alone signs after this
    gone_at: Mapped[datetime | None]  # the receiver answered 410: nothing more is owed


class Delivery(Base):
    """One event that is owed to a receiver; its id is the webhook-id of every attempt."""

    __tablename__ = "deliveries"

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=func.gen_random_uuid())
    job_id: Mapped[UUID] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    seq: Mapped[int] = mapped_column(Integer)
    type: Mapped[str]
    url: Mapped[str]
    receiver: Mapped[str]
    body: Mapped[bytes]  # as every attempt sends it
    state: Mapped[str] = mapped_column(server_default=text("'pending'"))
    next_at: Mapped[datetime] = mapped_column(server_default=func.now())
    lease_until: Mapped[datetime | None]  # a pump sends it now
    fence: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    attempts: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    ended_at: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint(f"state IN ({_STATES})", name="deliveries_state_known"),
        UniqueConstraint("job_id", "seq", name="deliveries_of_job"),
        Index("deliveries_due", "receiver", "next_at", postgresql_where=text("state = 'pending'")),
        Index(
            "deliveries_in_flight",
            "receiver",
            postgresql_where=text("state = 'pending' AND lease_until IS NOT NULL"),
        ),
        Index("deliveries_newest", text("created_at DESC"), text("id DESC")),
        Index(
            "deliveries_failed",
            text("created_at DESC"),
            text("id DESC"),
            postgresql_where=text("state = 'failed'"),
        ),
    )


class Attempt(Base):
    """One HTTP try of a delivery."""

    __tablename__ = "attempts"

    delivery_id: Mapped[UUID] = mapped_column(
        ForeignKey("deliveries.id", ondelete="CASCADE"), primary_key=True
    )
    number: Mapped[int] = mapped_column(Integer, primary_key=True)
    at: Mapped[datetime] = mapped_column(server_default=func.now())  # its end
    status: Mapped[int | None] = mapped_column(Integer)
    ms: Mapped[int] = mapped_column(Integer)
    excerpt: Mapped[str]  # the beginning of the answer's body
    error_class: Mapped[str | None]
