"""No table that says something of a person is forgotten when the person is."""

from coursebell.storage.tables import metadata

# What erasing a user does to the rows about them, by table.
TREATED = {
    "users": "a pseudonym takes the place of names, addresses, tags, password, language",
    "tokens": "deleted",
    "registrations": "facts stay; what graders wrote goes",
    "user_field_values": "deleted",
    "user_agreements": "deleted",
    "work": "grades stay; what was handed in and what graders wrote goes",
    "exemptions": "facts stay; what graders wrote goes",
    "standings": "facts stay",
    "external_keys": "deleted",
    "events": "bodies are reduced to ids",
    "deliveries": "open ones are cancelled, bodies of reduced profiles go",
    "attempts": "what receivers answered goes",
    "audit": "who, what and when stays; values and reasons go",
}
NOT_ABOUT_PEOPLE = {
    "imports",
    "import_problems",  # lines and rules, never what stands in a cell
    "agreement_texts",
    "agreements",
    "organizations",
    "courses",
    "event_counters",
    "offering_categories",
    "offerings",
    "user_fields",
    "elements",
    "webhooks",
}


def test_every_table_is_known_to_whoever_erases_a_person():
    assert set(metadata.tables) == TREATED.keys() | NOT_ABOUT_PEOPLE
