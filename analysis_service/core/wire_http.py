"""What several providers share when they ask over HTTP: headers, and how to log in."""

from analysis_service.core.wire_types import Field, ListOf, Object, Text, ours

_TEXT = Text()

AUTHENTICATION = Object(
    "Authentication",
    {
        "sigv4": Field(
            Object(
                "Sigv4",
                {
                    "region": Field(_TEXT, "AWS region"),
                    "profile": Field(_TEXT, "AWS profile"),
                    "roleArn": Field(_TEXT, "role to assume"),
                },
            ),
            "sign requests for Amazon Managed Prometheus",
        ),
        "oauth2": Field(
            Object(
                "OAuth2",
                {
                    "tokenUrl": Field(_TEXT, "where client credentials are exchanged for a token"),
                    "clientId": Field(_TEXT, "client id"),
                    "clientSecret": Field(_TEXT, "client secret; use an argument that is a secret"),
                    "scopes": Field(ListOf(_TEXT), "scopes to ask for"),
                },
            ),
            "OAuth 2 client credentials",
        ),
        "basicAuth": Field(
            Object(
                "BasicAuth",
                {
                    "username": Field(_TEXT, "user name"),
                    "password": Field(_TEXT, "password; use an argument that is a secret"),
                },
            ),
            "user name and password; both are needed",
        ),
        "bearerToken": ours(_TEXT, "token sent as `Authorization: Bearer`; use an argument that is a secret"),
    },
)

HEADERS = ListOf(
    Object(
        "Header",
        {"key": Field(_TEXT, "header name", required=True), "value": Field(_TEXT, "header value", required=True)},
    )
)
