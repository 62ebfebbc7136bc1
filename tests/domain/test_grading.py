"""What elements make of a grade: the arithmetic, what counts, and who is done."""

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coursebell.domain.elements import MOST_ATTEMPTS, AttemptsPolicy, ElementType
from coursebell.domain.grading import NO_ELEMENTS, standing_of
from factories import a_policy, an_element, some_work

RULES = list(AttemptsPolicy)


def standing(*elements, work=(), exempt=(), policy=None):
    """Where a learner stands, `work` being attempts in whatever order they come."""
    by_element = {}
    for each in work:
        by_element.setdefault(each.element_id, []).append(each)
    exempt_ids = {each.id for each in exempt}
    return standing_of(elements, by_element, exempt_ids, policy or a_policy())


# --- the weighted grade


def test_the_grade_is_weighted_over_what_is_graded():
    quiz, exam, open_one = (
        an_element(weight=Decimal(1)),
        an_element(weight=Decimal(3)),
        an_element(),
    )

    found = standing(
        quiz, exam, open_one, work=[some_work(quiz, grade=60), some_work(exam, grade=80)]
    )

    assert found.grade == Decimal(75)
    assert [each.share for each in found.elements] == [Decimal(25), Decimal(75), None]
    assert [each.counted for each in found.elements] == [(1,), (1,), ()]


def test_nothing_graded_is_no_grade():
    board, test = an_element(ElementType.CHALKBOARD), an_element()

    assert standing(board, test).grade is None
    assert standing(board, test, work=[some_work(board)]).grade is None
    assert standing().grade is None


def test_a_zero_is_a_grade():
    test, other = an_element(), an_element()

    found = standing(test, other, work=[some_work(test, grade=0), some_work(other, grade=80)])

    assert found.grade == Decimal(40)


def test_exempt_is_not_zero_and_takes_its_weight_along():
    hard, easy = an_element(weight=Decimal(9)), an_element()
    work = [some_work(hard, grade=10), some_work(easy, grade=90)]

    found = standing(hard, easy, work=work, exempt=[hard])

    assert found.grade == Decimal(90)
    of_hard = found.elements[0]
    assert (of_hard.exempt, of_hard.grade, of_hard.passed, of_hard.share) == (
        True,
        None,
        None,
        None,
    )


def test_an_element_without_weight_has_a_grade_and_counts_for_nothing():
    practice, exam = an_element(weight=Decimal(0)), an_element()
    work = [some_work(practice, grade=10), some_work(exam, grade=90)]

    assert standing(practice, exam, work=work).grade == Decimal(90)
    assert standing(practice, work=work).grade is None
    assert standing(practice, work=work).elements[0].grade == Decimal(10)


def test_a_grade_is_decided_by_the_exact_number_and_never_rounded_up():
    thirds = [an_element() for _ in range(3)]
    work = [some_work(each, grade=grade) for each, grade in zip(thirds, (70, 70, 69), strict=True)]

    assert standing(*thirds, work=work).grade == Decimal("69.666666666666")


def test_a_mark_that_is_reached_exactly_is_reached():
    """Averages of thirds, weighted by thirds, that make 70 only when nothing is rounded."""
    first = an_element(attempts_policy=AttemptsPolicy.AVERAGE, weight=Decimal("0.3333"))
    second = an_element(attempts_policy=AttemptsPolicy.AVERAGE, weight=Decimal("0.3333"))
    work = [
        *(some_work(first, number, grade=grade) for number, grade in enumerate((70, 70, 71), 1)),
        *(some_work(second, number, grade=grade) for number, grade in enumerate((70, 70, 69), 1)),
    ]

    assert standing(first, second, work=work).grade == Decimal(70)


# --- attempts


@pytest.mark.parametrize(
    ("rule", "grade", "counted", "passed"),
    [
        (AttemptsPolicy.BEST, "80", (2,), True),
        (AttemptsPolicy.LAST, "60", (4,), False),
        (AttemptsPolicy.FIRST, "40", (1,), False),
        (AttemptsPolicy.AVERAGE, "65", (1, 2, 3, 4), False),
    ],
)
def test_which_attempt_counts(rule, grade, counted, passed):
    test = an_element(attempts_policy=rule)
    work = [some_work(test, n, grade=grade) for n, grade in enumerate((40, 80, 80, 60), 1)]

    (found,) = standing(test, work=work).elements

    assert (found.grade, found.counted, found.passed) == (Decimal(grade), counted, passed)
    assert found.made == 4


@pytest.mark.parametrize("rule", RULES)
def test_an_attempt_that_awaits_a_grade_counts_for_nothing_yet(rule):
    essay = an_element(ElementType.ASSIGNMENT, attempts_policy=rule)
    work = [some_work(essay, 1, grade=50), some_work(essay, 2, awaiting=True)]

    (found,) = standing(essay, work=work).elements

    assert (found.grade, found.awaiting, found.completed) == (Decimal(50), True, True)
    (alone,) = standing(essay, work=[some_work(essay, awaiting=True)]).elements
    assert (alone.grade, alone.completed, alone.passed) == (None, False, None)


@pytest.mark.parametrize(
    ("rule", "passed"),
    [
        (AttemptsPolicy.BEST, True),
        (AttemptsPolicy.LAST, False),
        (AttemptsPolicy.FIRST, True),
        (AttemptsPolicy.AVERAGE, True),
    ],
)
def test_what_is_judged_without_a_grade_is_passed_as_it_was_told(rule, passed):
    sco = an_element(ElementType.SCO, attempts_policy=rule)
    work = [some_work(sco, 1, passed=True), some_work(sco, 2, passed=False)]

    (found,) = standing(sco, work=work).elements

    assert (found.grade, found.passed) == (None, passed)


def test_passed_is_as_it_was_told_even_beside_a_grade():
    sco = an_element(ElementType.SCO)

    (found,) = standing(sco, work=[some_work(sco, grade=20, passed=True)]).elements

    assert (found.grade, found.passed) == (Decimal(20), True)


def test_an_average_is_passed_by_the_mark_in_force():
    test = an_element(attempts_policy=AttemptsPolicy.AVERAGE, passing_grade=Decimal(60))
    work = [some_work(test, 1, grade=50), some_work(test, 2, grade=70)]

    (found,) = standing(test, work=work).elements

    assert (found.passing_grade, found.passed) == (Decimal(60), True)


# --- done, fulfilled, exhausted


def test_done_is_every_required_element_completed():
    must, may = an_element(), an_element(required=False)

    assert not standing(must, may, work=[some_work(may, grade=90)]).done
    assert standing(must, may, work=[some_work(must, grade=10)]).done


def test_done_is_every_element_where_none_is_required():
    one, two = an_element(required=False), an_element(required=False)

    assert not standing(one, two, work=[some_work(one, grade=90)]).done
    assert standing(one, two, work=[some_work(one, grade=90), some_work(two, grade=10)]).done


def test_without_elements_nobody_is_done_by_itself():
    assert not NO_ELEMENTS.done
    assert standing() == NO_ELEMENTS


def test_an_exemption_is_as_good_as_doing_it():
    one, two = an_element(), an_element()

    found = standing(one, two, work=[some_work(one, grade=90)], exempt=[two])

    assert (found.done, found.every_passed) == (True, True)
    everything = standing(one, two, exempt=[one, two])
    assert (everything.done, everything.grade, everything.exhausted) == (True, None, True)


def test_an_exemption_waits_for_no_grade():
    essay = an_element(ElementType.ASSIGNMENT)

    assert standing(essay, work=[some_work(essay, awaiting=True)]).awaiting
    assert not standing(essay, work=[some_work(essay, awaiting=True)], exempt=[essay]).awaiting


def test_what_cannot_be_passed_is_fulfilled_when_it_is_completed():
    board, test = an_element(ElementType.CHALKBOARD), an_element()

    found = standing(board, test, work=[some_work(board), some_work(test, grade=60)])

    assert [each.fulfilled for each in found.elements] == [True, False]
    assert not found.every_passed


def test_an_optional_element_need_not_be_passed():
    must, may = an_element(), an_element(required=False)
    work = [some_work(must, grade=90), some_work(may, grade=10)]

    assert standing(must, may, work=work).every_passed


@pytest.mark.parametrize(
    ("element", "attempts", "exhausted"),
    [
        (an_element(), 5, False),
        (an_element(max_attempts=2), 1, False),
        (an_element(max_attempts=2), 2, True),
        (an_element(), MOST_ATTEMPTS - 1, False),
        (an_element(), MOST_ATTEMPTS, True),
        (an_element(ElementType.FILE), 0, False),
        (an_element(ElementType.FILE), 1, True),  # seen is seen
        (an_element(ElementType.SCO), 1, False),
    ],
)
def test_what_can_still_be_attempted(element, attempts, exhausted):
    graded = element.type.is_graded
    work = [
        some_work(element, number, grade=10 if graded else None)
        for number in range(1, attempts + 1)
    ]

    assert standing(element, work=work).exhausted is exhausted


def test_only_required_elements_keep_it_open():
    must, may = an_element(max_attempts=1), an_element(required=False)

    assert standing(must, may, work=[some_work(must, grade=10)]).exhausted


# --- for whatever there is

GRADES = st.decimals(0, 100, places=4)


WEIGHTS = st.decimals("0.0001", 1000, places=4)


@st.composite
def situations(draw, *, rules=RULES):
    """Elements with attempts, some without a grade, some exempt."""
    elements = [
        an_element(weight=draw(WEIGHTS), attempts_policy=draw(st.sampled_from(rules)))
        for _ in range(draw(st.integers(1, 5)))
    ]
    work = [
        some_work(element, number, grade=draw(st.none() | GRADES))
        for element in elements
        for number in range(1, draw(st.integers(0, 4)) + 1)
    ]
    exempt = draw(st.sets(st.sampled_from(elements)) if draw(st.booleans()) else st.just(set()))
    return elements, work, exempt


@given(situations())
def test_a_grade_is_never_outside_0_to_100_and_shares_make_a_whole(situation):
    elements, work, exempt = situation

    found = standing(*elements, work=work, exempt=exempt)

    counting = [each for each in found.elements if each.grade is not None]
    assert (found.grade is None) == (counting == [])
    if counting:
        grades = [each.grade for each in counting]
        assert 0 <= min(grades) <= found.grade + Decimal("1e-11")
        assert found.grade <= max(grades) + Decimal("1e-11") <= 101
        assert found.grade <= 100
        shares = sum(each.share for each in counting)
        assert Decimal(100) - Decimal("1e-10") <= shares <= 100


@given(situations(), st.integers(1, 10_000))
def test_scaling_all_weights_changes_nothing(situation, factor):
    elements, work, exempt = situation
    scaled = [replace(each, weight=each.weight * factor) for each in elements]
    ids = {each.id for each in exempt}

    plain = standing(*elements, work=work, exempt=exempt)
    again = standing(*scaled, work=work, exempt=[each for each in scaled if each.id in ids])

    assert again.grade == plain.grade
    assert [each.share for each in again.elements] == [each.share for each in plain.elements]


@given(situations(), st.randoms(use_true_random=False))
def test_the_order_of_arrival_changes_nothing(situation, random):
    elements, work, exempt = situation
    shuffled, reordered = list(work), list(elements)
    random.shuffle(shuffled)
    random.shuffle(reordered)

    plain = standing(*elements, work=work, exempt=exempt)
    again = standing(*reordered, work=shuffled, exempt=exempt)

    assert again.grade == plain.grade
    key = lambda each: each.element_id  # noqa: E731
    assert sorted(again.elements, key=key) == sorted(plain.elements, key=key)


@given(situations(), st.data())
def test_a_better_grade_for_one_attempt_is_never_a_worse_grade_in_the_end(situation, data):
    elements, work, exempt = situation
    graded = [index for index, each in enumerate(work) if each.grade is not None]
    if not graded:
        return
    index = data.draw(st.sampled_from(graded))
    better = data.draw(st.decimals(work[index].grade, 100, places=4))
    improved = [*work[:index], replace(work[index], grade=better), *work[index + 1 :]]

    before = standing(*elements, work=work, exempt=exempt).grade
    after = standing(*elements, work=improved, exempt=exempt).grade

    assert before is None or after >= before


@given(situations(rules=[AttemptsPolicy.BEST, AttemptsPolicy.AVERAGE]))
def test_a_mark_is_reached_exactly_when_the_exact_number_reaches_it(situation):
    """Cutting off after 12 decimals decides nothing: marks have 4."""
    elements, work, exempt = situation
    found = standing(*elements, work=work, exempt=exempt)
    if found.grade is None:
        return
    exact = exact_grade(elements, work, exempt)
    mark = Decimal(int(exact * 10_000)) / 10_000

    assert (found.grade >= mark) == (exact >= Fraction(mark))
    above = mark + Decimal("0.0001")
    assert (found.grade >= above) == (exact >= Fraction(above))


def exact_grade(elements, work, exempt) -> Fraction:
    """The same by another way: a sum over attempts, element by element."""
    weighted, total = Fraction(0), Fraction(0)
    for element in elements:
        grades = [
            Fraction(each.grade)
            for each in work
            if each.element_id == element.id and each.grade is not None
        ]
        if element in exempt or not grades:
            continue
        grade = (
            max(grades)
            if element.attempts_policy is AttemptsPolicy.BEST
            else sum(grades) / len(grades)
        )
        weighted += Fraction(element.weight) * grade
        total += Fraction(element.weight)
    return weighted / total
