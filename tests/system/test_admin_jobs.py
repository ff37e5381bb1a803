"""Jobs, as an administrator sees them."""

import pytest

from mx import refusal

PATH = "/_synapse/admin/v1/scheduled_tasks"


def test_the_list_can_be_asked_by_status_kind_and_resource(admin):
    query = [("action_name", "no such"), ("status", "active"), ("status", "cancelled"), ("resource_id", "!x:y"), ("max_timestamp", "1")]
    assert admin.get(PATH, query) == {"scheduled_tasks": []}


@pytest.mark.parametrize("query, errcode", [({"status": "x"}, "M_INVALID_PARAM"), ({"job_status": "x"}, "M_INVALID_PARAM"),
                                            ({"max_timestamp": "x"}, "M_INVALID_PARAM")])
def test_bad_questions_are_refused(admin, query, errcode):
    r = refusal(admin.get, PATH, query)
    assert (r.status, r.errcode) == (400, errcode)


def test_nobody_else_sees_it(alice, anyone):
    r = refusal(alice.get, PATH)
    assert (r.status, r.errcode) == (403, "M_FORBIDDEN")
    assert refusal(anyone.get, PATH).status == 401
