"""The accounts under which a service may be installed."""

import pytest

from programs.relay.windows_service import ServiceRefused, check_account


@pytest.mark.parametrize(
    "account",
    ["", " ", "LocalSystem", ".\\LocalSystem", "NT AUTHORITY\\SYSTEM", "NT AUTHORITY\\Local Service", "NetworkService"],
)
def test_an_account_that_has_no_mail_profile_is_refused_with_the_reason(account):
    with pytest.raises(ServiceRefused, match="it would have no mail profile and could send nothing"):
        check_account(account)


@pytest.mark.parametrize(
    "account", ["CORP\\tocsin", ".\\tocsin", "tocsin@corp.example", "CORP\\system-mailer", "CORP\\svc$"]
)
def test_an_account_of_a_person_or_of_a_service_is_accepted(account):
    check_account(account)
