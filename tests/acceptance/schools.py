"""Many learners at once: made by the use cases, because asking over HTTP would take a minute."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from coursebell.domain.model import Actor, Role, User
from coursebell.services import accounts, enrolment, people
from coursebell.services.enrolment import Enrolment
from coursebell.services.organizations import choose_organization, operator_of
from coursebell.services.people import NewUser
from coursebell.services.registrar import Registrar
from coursebell.storage.database import Database
from factories import a_registrar


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A learner's place in an offering."""

    registration_id: str
    learner_token: str | None  # only where the learner acts


@dataclass(frozen=True, slots=True, kw_only=True)
class School:
    """The organization that `coursebell init` has made."""

    registrar: Registrar
    operator: Actor

    def instructor_token(self) -> str:
        (user,) = self._people([_new_user("instructor@harbour.example", Role.INSTRUCTOR)])
        return self._token(user)

    def places(self, offering_id: str, number: int, acting: range) -> list[Place]:
        """Register that many new learners. Those whose numbers are in `acting` have a token."""
        users = self._people(
            [_new_user(f"learner{each}@harbour.example", Role.LEARNER) for each in range(number)]
        )
        enrolments = [
            Enrolment(actor=self.operator, user_id=user.id, offering_id=offering_id)
            for user in users
        ]
        registered = enrolment.register(
            self.registrar, self.operator.organization_id, enrolments, datetime.now(UTC)
        )
        return [
            Place(
                registration_id=registration.id,
                learner_token=self._token(user) if each in acting else None,
            )
            for each, (user, registration) in enumerate(zip(users, registered, strict=True))
        ]

    def _people(self, new: list[NewUser]) -> list[User]:
        return people.create_users(self.registrar, self.operator, new, datetime.now(UTC))

    def _token(self, user: User) -> str:
        now = datetime.now(UTC)
        return accounts.create_token(self.registrar, self.operator, user.id, "test", now).secret


def school_in(database: Database) -> School:
    registrar = a_registrar(database)
    organization = choose_organization(registrar, None)
    return School(registrar=registrar, operator=operator_of(organization))


def _new_user(email: str, role: Role) -> NewUser:
    return NewUser(first_name="Mei", last_name="Tanaka", email=email, role=role)
