"""What schemathesis looks at beside its own checks."""

import schemathesis


@schemathesis.check
def only_the_limit_of_its_session_refuses_a_valid_execution(context, response, case):
    if case.operation.definition.raw["operationId"] != "begin_execution" or response.status_code != 400:
        return
    if case.meta is not None and case.meta.generation.mode.is_positive:
        assert response.json()["error"].get("field") == "timeout_seconds", response.text
