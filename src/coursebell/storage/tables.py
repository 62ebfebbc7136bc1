"""Every table. What a row means stands in `domain.model`; here stands how it is kept.

`key` is the insertion order and the inside name of a row, `id` its public name. Everything belongs
to an organization, and every query names it. On PostgreSQL keys are given before the commit, so
their order is not the order of commits; an event has a `position` for that.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    text,
)

from coursebell.storage.columns import Exact, Instant, Words

metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "ix": "%(table_name)s_%(column_0_N_name)s",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
    }
)


def _key() -> Column[int]:
    kind = BigInteger().with_variant(Integer, "sqlite")
    return Column("key", kind, Identity(always=True), primary_key=True)


def _id() -> Column[str]:
    return Column("id", String(32), nullable=False, unique=True)


def _reference(name: str, target: str, *, optional: bool = False) -> Column[str]:
    return Column(name, String(32), ForeignKey(f"{target}.id"), nullable=optional)


organizations = Table(
    "organizations",
    metadata,
    _key(),
    _id(),
    Column("name", Text, nullable=False),
    Column("zone", Text, nullable=False),
    Column("locale", Text, nullable=False),
    Column("sign_in", String(16), nullable=False),
    Column("created_at", Instant, nullable=False),
)

users = Table(
    "users",
    metadata,
    _key(),
    _id(),
    _reference("organization_id", "organizations"),
    Column("first_name", Text, nullable=False),
    Column("last_name", Text, nullable=False),
    Column("username", Text, nullable=False),
    Column("username_folded", Text, nullable=False),  # unique without regard to case
    Column("email", Text, nullable=False),
    Column("email_folded", Text, nullable=False),
    Column("password_hash", Text),  # argon2id; without one there is no signing in
    Column("locale", Text, nullable=False),
    Column("tags", Words, nullable=False),
    Column("role", String(16), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("last_login_at", Instant),
    Column("deleted_at", Instant),  # deleted people keep their row: history points at it
    Column("erased_at", Instant),  # and erased ones keep it without saying who they were
)
_living = text("deleted_at IS NULL")
for _column in ("email_folded", "username_folded"):
    Index(
        f"users_{_column}_unique",
        users.c.organization_id,
        users.c[_column],
        unique=True,
        sqlite_where=_living,
        postgresql_where=_living,
    )
Index("users_in_order", users.c.organization_id, users.c.key)
_administrates = text("role = 'admin' AND deleted_at IS NULL")
Index(
    "users_administrators",
    users.c.organization_id,
    users.c.key,
    sqlite_where=_administrates,
    postgresql_where=_administrates,
)

tokens = Table(
    "tokens",
    metadata,
    _key(),
    _id(),
    _reference("organization_id", "organizations"),
    _reference("user_id", "users"),
    Column("name", Text, nullable=False),
    Column("digest", String(64), nullable=False, unique=True),  # SHA-256 of the secret
    Column("created_at", Instant, nullable=False),
    Column("last_used_at", Instant),
)
Index("tokens_of_user", tokens.c.user_id)

courses = Table(
    "courses",
    metadata,
    _key(),
    _id(),
    _reference("organization_id", "organizations"),
    Column("title", Text, nullable=False),
    _reference("instructor", "users", optional=True),
    Column("passing_grade", Exact, nullable=False),
    Column("move_on", String(20), nullable=False),
    Column("require_every_element_passed", Boolean, nullable=False),
    Column("created_at", Instant, nullable=False),
)
Index("courses_in_order", courses.c.organization_id, courses.c.key)

elements = Table(
    "elements",
    metadata,
    _key(),
    _id(),
    _reference("organization_id", "organizations"),
    _reference("course_id", "courses"),
    Column("type", String(16), nullable=False),
    Column("title", Text, nullable=False),
    Column("question", Text),
    Column("weight", Exact, nullable=False),
    Column("required", Boolean, nullable=False),
    Column("attempts_policy", String(8), nullable=False),
    Column("max_attempts", Integer),
    Column("passing_grade", Exact),
    Column("status", String(8), nullable=False),
    Column("order_index", Integer, nullable=False),
    Column("created_at", Instant, nullable=False),
)
Index("elements_of_course", elements.c.course_id, elements.c.order_index)

offering_categories = Table(
    "offering_categories",
    metadata,
    _key(),
    _id(),
    _reference("organization_id", "organizations"),
    Column("name", Text, nullable=False),
    Column("description", Text),
    Column("color", String(7)),
    Column("order_index", Integer, nullable=False),
    Column("created_at", Instant, nullable=False),
)
Index("offering_categories_in_order", offering_categories.c.organization_id)

offerings = Table(
    "offerings",
    metadata,
    _key(),
    _id(),
    _reference("organization_id", "organizations"),
    _reference("course_id", "courses"),
    Column("title", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("begin_at", Instant),
    Column("end_at", Instant),
    Column("registration_begin_at", Instant),
    Column("registration_end_at", Instant),
    Column("catalog_description", Text),
    Column("dashboard_description", Text),
    Column("delivery_description", Text),
    Column("price", Exact),
    Column("category_ids", Words, nullable=False),
    Column("tags", Words, nullable=False),
    Column("order_index", Integer, nullable=False),
    Column("passing_grade", Exact),
    Column("move_on", String(20)),
    Column("require_every_element_passed", Boolean),
    Column("retakes", Boolean, nullable=False),
)
Index("offerings_in_order", offerings.c.organization_id, offerings.c.key)
Index("offerings_of_course", offerings.c.course_id)
_ends = text("end_at IS NOT NULL")
Index("offerings_by_end", offerings.c.end_at, sqlite_where=_ends, postgresql_where=_ends)

registrations = Table(
    "registrations",
    metadata,
    _key(),
    _id(),
    _reference("organization_id", "organizations"),
    _reference("user_id", "users"),
    _reference("offering_id", "offerings"),
    Column("attempt", Integer, nullable=False),
    Column("status", String(16), nullable=False),
    Column("grade", Exact),
    Column("computed", Boolean, nullable=False),
    Column("source", String(8)),
    _reference("grader_id", "users", optional=True),
    Column("grader_comment", Text),
    Column("created_at", Instant, nullable=False),
    Column("begin_at", Instant),
    Column("last_active_at", Instant),
    Column("end_at", Instant),
    Column("extended", Boolean, nullable=False),
    Column("event_count", Integer, nullable=False),
    Column("policy_passing_grade", Exact),
    Column("policy_move_on", String(20)),
    Column("policy_require_every", Boolean),
)
_active = text("status = 'active'")
_halts = text("status = 'active' AND NOT extended")
Index(
    "registrations_attempt_unique",
    registrations.c.user_id,
    registrations.c.offering_id,
    registrations.c.attempt,
    unique=True,
)
Index(
    "registrations_one_active",
    registrations.c.user_id,
    registrations.c.offering_id,
    unique=True,
    sqlite_where=_active,
    postgresql_where=_active,
)
Index("registrations_in_order", registrations.c.organization_id, registrations.c.key)
Index("registrations_of_offering", registrations.c.offering_id, registrations.c.key)
Index(
    "registrations_to_halt",
    registrations.c.offering_id,
    sqlite_where=_halts,
    postgresql_where=_halts,
)

work = Table(
    "work",
    metadata,
    _key(),
    _reference("organization_id", "organizations"),
    _reference("registration_id", "registrations"),
    _reference("element_id", "elements"),
    Column("number", Integer, nullable=False),
    Column("handed_in_at", Instant, nullable=False),
    Column("source", String(8), nullable=False),
    Column("response", Text),
    Column("grade", Exact),
    Column("passed", Boolean),
    Column("awaiting", Boolean, nullable=False),
    Column("graded_at", Instant),
    _reference("grader_id", "users", optional=True),
    Column("grader_comment", Text),
)
_awaiting = text("awaiting")
Index(
    "work_attempt_unique",
    work.c.registration_id,
    work.c.element_id,
    work.c.number,
    unique=True,
)
Index("work_awaiting", work.c.registration_id, sqlite_where=_awaiting, postgresql_where=_awaiting)
Index("work_of_element", work.c.element_id)

exemptions = Table(
    "exemptions",
    metadata,
    _key(),
    _reference("organization_id", "organizations"),
    _reference("registration_id", "registrations"),
    _reference("element_id", "elements"),
    Column("created_at", Instant, nullable=False),
    _reference("grader_id", "users", optional=True),
    Column("comment", Text),
)
Index("exemptions_unique", exemptions.c.registration_id, exemptions.c.element_id, unique=True)
Index("exemptions_of_element", exemptions.c.element_id)

standings = Table(
    "standings",
    metadata,
    _key(),
    _reference("organization_id", "organizations"),
    Column(
        "registration_id", String(32), ForeignKey("registrations.id"), nullable=False, unique=True
    ),
    Column("standing", JSON, nullable=False),  # of the elements, when the registration ended
)

webhooks = Table(
    "webhooks",
    metadata,
    _key(),
    _id(),
    _reference("organization_id", "organizations"),
    Column("kind", String(8), nullable=False),
    Column("name", Text, nullable=False),
    Column("url", Text, nullable=False),
    Column("method", String(4), nullable=False),
    Column("events", Words, nullable=False),
    Column("filters", JSON, nullable=False),
    Column("header_names", Words, nullable=False),
    Column("headers_sealed", LargeBinary),  # JSON object of names and values, encrypted
    Column("payload", String(8), nullable=False),
    Column("timeout_seconds", Integer, nullable=False),
    Column("retry_schedule", JSON, nullable=False),
    Column("max_in_flight", Integer, nullable=False),
    Column("rate_per_second", Integer),
    Column("status", String(16), nullable=False),
    Column("disabled_reason", Text),
    Column("secret_sealed", LargeBinary, nullable=False),
    Column("old_secret_sealed", LargeBinary),  # signs too ...
    Column("old_secret_until", Instant),  # ... until then
    Column("failures", Integer, nullable=False),  # this and the next three: `domain.health`
    Column("failing_since", Instant),
    Column("probe_at", Instant),
    Column("probes", Integer, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("deleted_at", Instant),  # deleted webhooks keep their row: deliveries point at it
)
Index("webhooks_in_order", webhooks.c.organization_id, webhooks.c.key)

event_counters = Table(
    "event_counters",
    metadata,
    Column("organization_id", String(32), ForeignKey("organizations.id"), primary_key=True),
    Column("last", BigInteger, nullable=False),  # the position of the newest event
)

events = Table(
    "events",
    metadata,
    _key(),
    _id(),
    _reference("organization_id", "organizations"),
    Column("name", String(64), nullable=False),
    Column("source", String(8)),
    Column("occurred_at", Instant, nullable=False),
    Column("user_id", String(32)),
    Column("registration_id", String(32)),
    Column("registration_seq", Integer),
    Column("offering_id", String(32)),
    Column("element_id", String(32)),
    Column("is_test", Boolean, nullable=False),
    Column("position", BigInteger),  # in the order of commits; a test has none
    Column("body", LargeBinary),  # the full profile's bytes; removed by retention
)
Index("events_in_order", events.c.organization_id, events.c.position, unique=True)
Index("events_of_registration", events.c.registration_id, events.c.key)
_of_people = text("registration_id IS NULL")  # the others are found by their registration
Index(
    "events_of_user",
    events.c.user_id,
    events.c.key,
    sqlite_where=_of_people,
    postgresql_where=_of_people,
)

deliveries = Table(
    "deliveries",
    metadata,
    _key(),
    _id(),
    _reference("organization_id", "organizations"),
    _reference("webhook_id", "webhooks"),
    Column("event_key", BigInteger, ForeignKey("events.key"), nullable=False),
    Column("registration_id", String(32)),
    Column("kind", String(8), nullable=False),
    Column("status", String(16), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due_at", Instant),  # while leased: when the lease lapses; None: waits for another
    Column("lease", String(32)),  # fencing token of the dispatcher that claimed it
    Column("body", LargeBinary),  # bytes of a reduced profile; None: the event's own
    Column("created_at", Instant, nullable=False),
    Column("finished_at", Instant),
    Column("last_outcome", String(32)),
    # Each row is written three times within moments. PostgreSQL would clean up after a fifth of
    # all history has changed, and until then a claim steps over what has long been delivered.
    postgresql_with={"autovacuum_vacuum_scale_factor": 0.01, "autovacuum_vacuum_threshold": 10_000},
)
_due = text("status = 'pending' AND due_at IS NOT NULL")
_waiting = text("status = 'pending' AND due_at IS NULL")
_failed = text("status = 'failed'")
Index(
    "deliveries_due",
    deliveries.c.webhook_id,
    deliveries.c.due_at,
    deliveries.c.key,
    deliveries.c.status,  # SQLite counts in an index alone only when it has all that is asked for
    sqlite_where=_due,
    postgresql_where=_due,
)
Index(
    "deliveries_waiting",
    deliveries.c.webhook_id,
    deliveries.c.registration_id,
    deliveries.c.key,
    deliveries.c.status,
    deliveries.c.due_at,
    sqlite_where=_waiting,
    postgresql_where=_waiting,
)
# says "open" in other words, or SQLite would search the due ones, of which there may be many
_asked = text("finished_at IS NULL AND kind IN ('resend', 'test')")
Index(
    "deliveries_asked",
    deliveries.c.webhook_id,
    deliveries.c.due_at,
    deliveries.c.key,
    sqlite_where=_asked,
    postgresql_where=_asked,
)
Index(
    "deliveries_failed",
    deliveries.c.webhook_id,
    deliveries.c.status,
    sqlite_where=_failed,
    postgresql_where=_failed,
)
Index("deliveries_of_webhook", deliveries.c.webhook_id, deliveries.c.key)
Index("deliveries_of_event", deliveries.c.event_key)

attempts = Table(
    "attempts",
    metadata,
    _key(),
    Column("delivery_key", BigInteger, ForeignKey("deliveries.key"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("duration_ms", Integer, nullable=False),
    Column("outcome", String(32), nullable=False),
    Column("status_code", Integer),
    Column("address", Text),
    Column("response_headers", Text),
    Column("response_body", LargeBinary),
    Column("truncated", Boolean, nullable=False),
)
Index("attempts_of_delivery", attempts.c.delivery_key, attempts.c.number)

imports = Table(
    "imports",
    metadata,
    _key(),
    _id(),
    _reference("organization_id", "organizations"),
    Column("kind", String(16), nullable=False),
    Column("state", String(16), nullable=False),
    Column("mapping", JSON, nullable=False),
    Column("is_dry_run", Boolean, nullable=False),
    Column("sends_events", Boolean, nullable=False),
    Column("user_id", String(32)),
    Column("token_id", String(32)),
    Column("size", BigInteger, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("started_at", Instant),
    Column("finished_at", Instant),
    Column("due_at", Instant, nullable=False),  # while leased: when the lease lapses
    Column("lease", String(32)),  # fencing token of the worker that claimed it
    Column("end_byte", BigInteger, nullable=False),  # the place in the file that is reached
    Column("end_line", BigInteger, nullable=False),
    Column("created", Integer, nullable=False),
    Column("updated", Integer, nullable=False),
    Column("unchanged", Integer, nullable=False),
    Column("rejected", Integer, nullable=False),
    Column("ignored", JSON, nullable=False),  # headers that mean nothing
    Column("problem", Text),  # why it failed as a whole
)
_unfinished = text("state = 'pending'")
Index("imports_in_order", imports.c.organization_id, imports.c.key)
Index("imports_due", imports.c.due_at, sqlite_where=_unfinished, postgresql_where=_unfinished)

import_problems = Table(
    "import_problems",
    metadata,
    _key(),
    _reference("organization_id", "organizations"),
    _reference("import_id", "imports"),
    Column("line", BigInteger, nullable=False),
    Column("column", Text),
    Column("rule", Text, nullable=False),
)
Index("import_problems_of_import", import_problems.c.import_id, import_problems.c.line)

external_keys = Table(
    "external_keys",
    metadata,
    _key(),
    _reference("organization_id", "organizations"),
    Column("subject", String(16), nullable=False),
    Column("external_key", Text, nullable=False),  # what another system calls it
    Column("subject_id", String(32), nullable=False),
    Column("digest", String(32), nullable=False),  # of the line that was imported last
)
Index(
    "external_keys_unique",
    external_keys.c.organization_id,
    external_keys.c.subject,
    external_keys.c.external_key,
    unique=True,
)
Index("external_keys_of_subject", external_keys.c.subject_id)

audit = Table(
    "audit",
    metadata,
    _key(),
    _id(),
    _reference("organization_id", "organizations"),
    Column("at", Instant, nullable=False),
    Column("actor", String(16), nullable=False),
    Column("user_id", String(32)),
    Column("token_id", String(32)),
    Column("action", String(64), nullable=False),
    Column("subject", String(32), nullable=False),
    Column("subject_id", String(32), nullable=False),
    Column("before", JSON(none_as_null=True)),
    Column("after", JSON(none_as_null=True)),
    Column("reason", Text),
)
Index("audit_in_order", audit.c.organization_id, audit.c.key)
Index("audit_of_subject", audit.c.subject_id, audit.c.key)
_of_tokens = text("subject = 'token'")
Index(
    "audit_of_tokens",
    audit.c.organization_id,
    sqlite_where=_of_tokens,
    postgresql_where=_of_tokens,
)

user_fields = Table(
    "user_fields",
    metadata,
    _key(),
    _id(),
    _reference("organization_id", "organizations"),
    Column("type", String(16), nullable=False),
    Column("name", Text),
    Column("category_name", Text, nullable=False),
    Column("category_type", String(8), nullable=False),
    Column("order_index", Integer, nullable=False),
    Column("required", Boolean, nullable=False),
    Column("options", JSON, nullable=False),
    Column("constraints", JSON, nullable=False),
    Column("message", Text),
    Column("created_at", Instant, nullable=False),
)
Index("user_fields_in_order", user_fields.c.organization_id, user_fields.c.key)

user_field_values = Table(
    "user_field_values",
    metadata,
    _key(),
    _reference("organization_id", "organizations"),
    _reference("user_id", "users"),
    _reference("field_id", "user_fields"),
    Column("value", Text, nullable=False),  # JSON, as text: SQLite would take 42.0 for 42
)
Index(
    "user_field_values_unique",
    user_field_values.c.user_id,
    user_field_values.c.field_id,
    unique=True,
)
Index("user_field_values_of_field", user_field_values.c.field_id)

agreement_texts = Table(
    "agreement_texts",
    metadata,
    _key(),
    _id(),
    _reference("organization_id", "organizations"),
    Column("title", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
)

agreements = Table(
    "agreements",
    metadata,
    _key(),
    _reference("organization_id", "organizations"),
    Column("type", String(8), nullable=False),
    Column("required", Boolean, nullable=False),
    Column("text_key", BigInteger, ForeignKey("agreement_texts.key"), nullable=False),  # newest
    Column("created_at", Instant, nullable=False),
)
Index("agreements_unique", agreements.c.organization_id, agreements.c.type, unique=True)

user_agreements = Table(
    "user_agreements",
    metadata,
    _key(),
    _reference("organization_id", "organizations"),
    _reference("user_id", "users"),
    Column("type", String(8), nullable=False),
    Column("text_key", BigInteger, ForeignKey("agreement_texts.key"), nullable=False),  # agreed to
    Column("agreed_at", Instant, nullable=False),
)
Index("user_agreements_unique", user_agreements.c.user_id, user_agreements.c.type, unique=True)
