"""Cut GitHub's published OpenAPI description down to what relnox uses, as JSON Schemas.

    npm pack @octokit/openapi@23.0.2 && tar xzf octokit-openapi-23.0.2.tgz
    python tests/forge_contracts/cut.py package/generated/api.github.com.json

Requests stay as they are; of responses only the properties stay that relnox reads.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

OPERATIONS = {
    "/pulls": "get post",
    "/pulls/{pull_number}": "get patch",
    "/releases": "get post",
    "/releases/generate-notes": "post",
    "/releases/latest": "get",
    "/releases/{release_id}": "patch delete",
    "/releases/{release_id}/assets": "get post",
    "/releases/assets/{asset_id}": "get delete",
    "/commits/{ref}/check-runs": "get",
    "/commits/{ref}/status": "get",
    "/environments": "get",
}
READ = {
    "pulls": {"number", "html_url", "title", "body", "state", "head", "base", "ref", "repo", "full_name"},
    "releases": {
        "id",
        "tag_name",
        "html_url",
        "body",
        "draft",
        "immutable",
        "upload_url",
        "name",
        "digest",
        "state",
    },
}
READ["commits"] = {"name", "status", "conclusion", "details_url", "html_url", "context", "state", "target_url"} | {
    *("check_runs", "statuses"),
}
READ["environments"] = {"environments", "name", "protection_rules", "type", "reviewers", "prevent_self_review"}
ERROR = {"message", "errors"}
KEPT = ("type", "enum", "format", "required", "minimum", "maximum", "maxLength", "minLength", "maxProperties")


def schema(api: Any, node: Any, read: set[str] | None = None) -> Any:  # noqa: C901 - one branch for each keyword
    """An OpenAPI 3.0 schema as a JSON Schema, with references resolved; of a response, with what is read."""
    if "$ref" in node:
        target = api
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part.replace("~1", "/").replace("~0", "~")]
        return schema(api, target, read)
    result = {key: node[key] for key in KEPT if key in node and key != "format"}
    for key in ("oneOf", "anyOf", "allOf"):
        if key in node:
            result[key] = [schema(api, inner, read) for inner in node[key]]
    if "items" in node:
        result["items"] = schema(api, node["items"], read)
    if "properties" in node:
        result["properties"] = {
            name: schema(api, inner, read)
            for name, inner in node["properties"].items()
            if read is None or name in read
        }
        if read is not None and "required" in result:
            result["required"] = [name for name in result["required"] if name in read]
        if read is not None and node.get("title") == "Release Asset":
            del result["properties"]["state"]["enum"]  # it lacks `starter`, which the text describes
    if node.get("nullable"):
        if "enum" in result and None not in result["enum"]:
            result["enum"] = [*result["enum"], None]
        if "type" in result:
            result["type"] = [result["type"], "null"]
        elif result:
            result = {"anyOf": [result, {"type": "null"}]}
    return result


def parameters(api: Any, operation: Any) -> Any:
    """The query parameters of an operation, by name."""
    resolved = []
    for parameter in operation.get("parameters", []):
        target = parameter
        if "$ref" in parameter:
            target = api["components"]["parameters"][parameter["$ref"].rpartition("/")[2]]
        resolved.append(target)
    return {
        parameter["name"]: schema(api, parameter["schema"]) for parameter in resolved if parameter["in"] == "query"
    }


def main(path: Path) -> None:
    """Write github.json."""
    api = json.loads(path.read_text(encoding="utf-8"))
    operations: dict[str, Any] = {}
    for name, methods in OPERATIONS.items():
        for method in methods.split():
            operation = api["paths"]["/repos/{owner}/{repo}" + name][method]
            body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
            responses = {}
            for status, response in operation["responses"].items():
                resolved = response
                if "$ref" in response:
                    resolved = api["components"]["responses"][response["$ref"].rpartition("/")[2]]
                content = resolved.get("content", {}).get("application/json", {}).get("schema")
                read = READ[name.split("/")[1]] | ERROR
                responses[status] = None if content is None else schema(api, content, read)
            operations[f"{method.upper()} {name}"] = {
                "query": parameters(api, operation),
                "request": None if body is None else schema(api, body),
                "responses": responses,
            }
    source = f"@octokit/openapi {api['info']['version']}, of github/rest-api-description, version 2022-11-28"
    document = {"source": source, "license": "MIT (see LICENSE)", "operations": operations}
    target = Path(__file__).with_name("github.json")
    target.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
