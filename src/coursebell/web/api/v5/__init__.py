"""The REST API v5, a module per resource."""

from coursebell.web.api.v5 import (
    agreements,
    audit,
    courses,
    deliveries,
    events,
    gradebook,
    offering_categories,
    offerings,
    reconciliation,
    registrations,
    tokens,
    user_agreements,
    user_field_values,
    user_fields,
    users,
    webhooks,
)

ROUTERS = (
    users.router,
    user_fields.router,
    user_field_values.router,
    agreements.router,
    user_agreements.router,
    courses.router,
    offerings.router,
    offering_categories.router,
    registrations.router,
    gradebook.router,
    webhooks.router,
    reconciliation.router,
    events.router,
    deliveries.router,
    tokens.router,
    audit.router,
)
