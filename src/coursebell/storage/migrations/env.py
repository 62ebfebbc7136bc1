"""Alembic's entry: runs migrations on the connection that `upgrade` hands over."""

from alembic import context

from coursebell.storage.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    user_module_prefix="columns.",
)
with context.begin_transaction():
    context.run_migrations()
