"""boto3 sessions: the caller's own credentials, and assumed roles that refresh themselves."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from s3_log_roller.aws.errors import is_denied, translate_error
from s3_log_roller.aws.patience import patient
from s3_log_roller.errors import CredentialsError, NoCredentials
from s3_log_roller.uris import Role

if TYPE_CHECKING:
    import boto3
    from botocore.credentials import RefreshableCredentials

SESSION_NAME: Final = "s3-log-roller"
_STS_REGIONS: Final = {"aws": "us-east-1", "aws-cn": "cn-north-1", "aws-us-gov": "us-gov-west-1"}
"""Where to assume a role when no region is configured."""


class Sessions:
    """One session for the caller's own credentials and one for each role, made when first asked for.

    boto3 finds credentials, region and endpoints (`AWS_ENDPOINT_URL`, `AWS_ENDPOINT_URL_STS`, …) as it always does;
    `AWS_REGION` counts as a region as well, as in other AWS tools.
    """

    def __init__(
        self, *, profile: str | None = None, region: str | None = None, timeout_s: float | None = None
    ) -> None:
        """A server that does not answer is given up after `timeout_s`."""
        self._profile = profile
        self._region = region or os.environ.get("AWS_REGION") or None
        self._timeout_s = timeout_s
        self._sessions: dict[Role | None, boto3.Session] = {}

    def get(self, role: Role | None = None) -> boto3.Session:
        """The session for that role, or the caller's own. Raises `CredentialsError`."""
        if role not in self._sessions:
            self._sessions[role] = self._assume(role) if role else self._own()
        return self._sessions[role]

    def _own(self) -> boto3.Session:
        import boto3
        from botocore.exceptions import BotoCoreError

        try:
            return boto3.Session(profile_name=self._profile, region_name=self._region)
        except BotoCoreError as error:
            raise NoCredentials(f"the AWS configuration cannot be used: {error}; see ~/.aws/config") from error

    def _assume(self, role: Role) -> boto3.Session:
        """Assume the role now, so that a refusal shows here and not in the middle of the work."""
        import boto3
        import botocore.session
        from botocore.credentials import RefreshableCredentials

        refresh = _Refresher(self.get(), role, self._timeout_s)
        credentials = RefreshableCredentials.create_from_metadata(
            metadata=refresh(), refresh_using=refresh, method="sts-assume-role"
        )
        session = botocore.session.Session(profile=self._profile)
        session.register_component("credential_provider", _Given(credentials))
        return boto3.Session(botocore_session=session, region_name=self._region)


class _Given:
    """A credential provider for botocore that hands out credentials made before."""

    def __init__(self, credentials: RefreshableCredentials) -> None:
        self._credentials = credentials

    def load_credentials(self) -> RefreshableCredentials:
        return self._credentials


class _Refresher:
    """Fetches fresh credentials of a role, in the form botocore's refreshable credentials take."""

    def __init__(self, session: boto3.Session, role: Role, timeout_s: float | None) -> None:
        self._session = session
        self._timeout_s = timeout_s
        self._role = role

    def __call__(self) -> dict[str, str]:
        from botocore.exceptions import BotoCoreError, ClientError

        role = self._role
        region = self._session.region_name or _STS_REGIONS.get(role.arn.split(":")[1])
        request: dict[str, Any] = {"RoleArn": role.arn, "RoleSessionName": SESSION_NAME}
        if role.external_id is not None:
            request["ExternalId"] = role.external_id
        try:
            client = self._session.client("sts", region_name=region, config=patient(self._timeout_s))
            answer = client.assume_role(**request)
        except (BotoCoreError, ClientError, FileNotFoundError, PermissionError, ValueError) as error:
            if is_denied(error):
                raise CredentialsError(
                    f"sts:AssumeRole on {role.arn}: not allowed, or no such role; check the ARN, that the role's trust "
                    "policy names the caller (and the external id, if it asks for one: --external-id), and that the "
                    "caller's policy allows sts:AssumeRole"
                ) from error
            raise translate_error(
                error, "sts:AssumeRole", role.arn, region, CredentialsError, timeout_s=self._timeout_s
            ) from error
        credentials = answer["Credentials"]
        return {
            "access_key": credentials["AccessKeyId"],
            "secret_key": credentials["SecretAccessKey"],
            "token": credentials["SessionToken"],
            "expiry_time": credentials["Expiration"].isoformat(),
        }
