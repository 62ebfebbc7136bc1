from __future__ import annotations


def test_a_category_is_a_shelf_that_offerings_are_put_on(school):
    category_id = school.admin.create("offeringcategories", name="Safety", color="#1A2b3c")
    offering_id = school.offering(offeringCategoryIds=[category_id, category_id])

    assert school.learner.get(f"/offerings/{offering_id}")["offeringCategoryIds"] == [category_id]
    category = school.learner.get(f"/offeringcategories/{category_id}")
    assert (category["name"], category["color"], category["orderIndex"]) == ("Safety", "#1A2b3c", 0)


def test_a_category_is_changed_cleared_and_deleted(school):
    category_id = school.admin.create("offeringcategories", name="Safety", description="Up high")
    offering_id = school.offering(offeringCategoryIds=[category_id])
    path = f"/offeringcategories/{category_id}"

    changed = school.admin.put(path, {"description": None, "orderIndex": 3})
    category = school.admin.get(path)
    deleted = school.admin.delete(path)

    assert (changed.status_code, deleted.status_code) == (204, 204)
    assert "description" not in category
    assert category["orderIndex"] == 3
    assert school.admin("GET", f"/api/v5{path}").status_code == 404
    assert school.admin.get(f"/offerings/{offering_id}")["offeringCategoryIds"] == []


def test_categories_are_listed_by_name(school):
    wanted = school.admin.create("offeringcategories", name="Safety")
    school.admin.create("offeringcategories", name="Law")

    found = school.learner.list("/offeringcategories?name=SAF&createdDate=2020..")

    assert [category["id"] for category in found] == [wanted]
