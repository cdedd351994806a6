"""How mails that machines write about other mails are recognised: bounces and automatic replies, by sender and subject. Pure."""

import re

BOUNCE_SENDER = re.compile(r"(?:mailer-daemon|mail-daemon|postmaster)(?:@|$)", re.IGNORECASE)
BOUNCE_SUBJECT = re.compile(
    r"(?:undeliver|non remis|unzustellbar|delivery status notification|mail delivery (?:failed|failure|system)|returned mail"
    r"|failure notice|warning: (?:message|could not send))",
    re.IGNORECASE,
)
# How Exchange and Gmail begin the subject of an automatic reply, by language.
REPLY_SUBJECT = re.compile(
    r"(?:automatic reply|auto(?:matic)?[- ]?(?:reply|response)|out of (?:the )?office|automatische antwort|abwesenheits\w{0,20}"
    r"|r[ée]ponse automatique|respuesta autom[áa]tica|risposta automatica|automatisch antwoord|resposta autom[áa]tica|autosvar"
    r"|automatyczna odpowied[źz]|автоматический ответ|автоответ|otomatik yan(?:i|\u0131)t|automatick[áa] odpov[ěe][ďd]|自動応答|自動返信|自动答复|自动回复)\b",
    re.IGNORECASE,
)
