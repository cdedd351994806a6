/* Simple MAPI: logon, and sending in one call, narrow and wide. What is sent lies in sent\ at once. */
#include "client.h"
#undef MAPILogonEx
#include <mapi.h>

/* Older headers lack the wide structures. */
typedef struct { ULONG reserved, kind; PWSTR name, address; ULONG entry_id_size; PVOID entry_id; } wide_recipient;
typedef struct {
    ULONG reserved; PWSTR subject, text, message_class, date, conversation; FLAGS flags; wide_recipient *originator;
    ULONG recipient_count; wide_recipient *recipients; ULONG file_count; void *files;
} wide_message;

#define UNICODE_NOT_SUPPORTED 27

static FILE *open_file(void)
{
    static LONG number;
    wchar_t path[MAX_PATH], name[64];
    swprintf(name, 64, L"simple-%08lx-%ld.msg", GetTickCount(), InterlockedIncrement(&number));
    place_of(path, L"sent", name);
    return _wfopen(path, L"wb");
}

static void write_wide(FILE *file, const char *what, PWSTR text)
{
    static char narrow[1 << 20];
    WideCharToMultiByte(CP_UTF8, 0, text ? text : L"", -1, narrow, sizeof narrow, NULL, NULL);
    fprintf(file, "%s: %s\n", what, narrow);
}

static ULONG answer(void)
{
    char value[32];
    play("submit");
    return asked("code", value, sizeof value) ? strtoul(value, NULL, 0) : SUCCESS_SUCCESS;
}

EXPORT ULONG WINAPI MAPILogon(ULONG_PTR window, LPSTR profile, LPSTR password, FLAGS flags, ULONG reserved, LPLHANDLE session)
{
    note_call("MAPILogon", flags, NULL);
    play("logon");
    *session = 1;
    return SUCCESS_SUCCESS;
}

EXPORT ULONG WINAPI MAPILogoff(LHANDLE session, ULONG_PTR window, FLAGS flags, ULONG reserved) { return SUCCESS_SUCCESS; }

EXPORT ULONG WINAPI MAPISendMail(LHANDLE session, ULONG_PTR window, lpMapiMessage message, FLAGS flags, ULONG reserved)
{
    ULONG code = answer();
    FILE *file = code ? NULL : open_file();
    note_call("MAPISendMail", flags, NULL);
    if (!file)
        return code ? code : MAPI_E_FAILURE;
    for (ULONG i = 0; i < message->nRecipCount; i++)
        fprintf(file, "to: %s\n", message->lpRecips[i].lpszAddress);
    fprintf(file, "subject: %s\n%s\n", message->lpszSubject, message->lpszNoteText ? message->lpszNoteText : "");
    fclose(file);
    return SUCCESS_SUCCESS;
}

EXPORT ULONG WINAPI MAPISendMailW(LHANDLE session, ULONG_PTR window, wide_message *message, FLAGS flags, ULONG reserved)
{
    char value[32];
    note_call("MAPISendMailW", flags, NULL);
    if (asked("ansi", value, sizeof value))
        return UNICODE_NOT_SUPPORTED; /* as an old client does when it is told to force Unicode */
    ULONG code = answer();
    FILE *file = code ? NULL : open_file();
    if (!file)
        return code ? code : MAPI_E_FAILURE;
    for (ULONG i = 0; i < message->recipient_count; i++)
        write_wide(file, "to", message->recipients[i].address);
    write_wide(file, "subject", message->subject);
    write_wide(file, "text", message->text);
    fclose(file);
    return SUCCESS_SUCCESS;
}
