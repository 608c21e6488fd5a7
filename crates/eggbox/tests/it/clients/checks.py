"""What schemathesis looks at beside its own checks."""

import schemathesis


FIELDS = {
    "create_session": ("env",),
    "begin_execution": ("timeout_seconds",),
    "run": ("timeout_seconds", "files"),
    "fork": ("ids",),
}


@schemathesis.check
def only_what_a_schema_cannot_say_refuses_a_valid_request(context, response, case):
    fields = FIELDS.get(case.operation.definition.raw["operationId"])
    if fields is None or response.status_code != 400:
        return
    if case.meta is not None and case.meta.generation.mode.is_positive:
        assert response.json()["error"].get("field", "").partition(".")[0] in fields, response.text
