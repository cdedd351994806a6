/* The message store: an Outbox and Sent Items as folders of files, so that other processes see them, and a transport that takes what
 * has lain in the Outbox for long enough whenever anybody looks. */
#include "client.h"

#define OUTBOX_ID "OUTBOX01"
#define SENT_ID "SENT0001"
#define SENTMAIL_ENTRYID 0x35E40102
#define SUBMITTED 0x4 /* MSGFLAG_SUBMIT */

static void move(const wchar_t *name, const wchar_t *from, const wchar_t *to)
{
    wchar_t before[MAX_PATH], after[MAX_PATH];
    place_of(before, from, name);
    place_of(after, to, name);
    MoveFileW(before, after);
}

static BOOL exists(const wchar_t *folder, const wchar_t *name)
{
    wchar_t path[MAX_PATH];
    place_of(path, folder, name);
    return GetFileAttributesW(path) != INVALID_FILE_ATTRIBUTES;
}

static ULONGLONG age_ms(const FILETIME *written)
{
    FILETIME now;
    GetSystemTimeAsFileTime(&now);
    ULARGE_INTEGER a = {.LowPart = now.dwLowDateTime, .HighPart = now.dwHighDateTime};
    ULARGE_INTEGER b = {.LowPart = written->dwLowDateTime, .HighPart = written->dwHighDateTime};
    return a.QuadPart > b.QuadPart ? (a.QuadPart - b.QuadPart) / 10000 : 0;
}

/* The tight transport's work, and that of the spooler for the other profile, if a test has one. */
static void transport(const wchar_t *profile)
{
    wchar_t pattern[MAX_PATH];
    WIN32_FIND_DATAW found;
    char value[32];
    ULONGLONG delay = asked("delay_ms", value, sizeof value) ? strtoul(value, NULL, 0) : 0;
    if (asked("stuck", value, sizeof value))
        return;
    if (!is_tight(profile) && !(spooler_runs && asked("spooler", value, sizeof value)))
        return;
    place_of(pattern, L"outbox", L"*.msg");
    HANDLE search = FindFirstFileW(pattern, &found);
    if (search == INVALID_HANDLE_VALUE)
        return;
    do {
        if (age_ms(&found.ftLastWriteTime) >= delay)
            move(found.cFileName, L"outbox", L"sent");
    } while (FindNextFileW(search, &found));
    FindClose(search);
}

static void list(object *table, const wchar_t *folder, LONG flags)
{
    wchar_t pattern[MAX_PATH];
    WIN32_FIND_DATAW found;
    place_of(pattern, folder, L"*.msg");
    HANDLE search = FindFirstFileW(pattern, &found);
    if (search == INVALID_HANDLE_VALUE)
        return;
    do {
        SPropValue row[] = {
            bytes_value(PR_ENTRYID, found.cFileName, (ULONG)wcslen(found.cFileName) * 2),
            number_value(PR_MESSAGE_FLAGS, flags),
            bytes_value(PR_SEARCH_KEY, found.cFileName, 32),
        };
        add_row(table, row, 3);
    } while (FindNextFileW(search, &found));
    FindClose(search);
}

static HRESULT WINAPI GetContentsTable(object *folder, ULONG flags, object **out)
{
    object *table = *out = make(TABLE, folder->profile);
    play(!wcscmp(folder->name, L"sent") ? "sent" : "outbox");
    transport(folder->profile);
    if (!wcscmp(folder->name, L"sent")) {
        list(table, L"sent", 0);
    } else {
        list(table, L"drafts", 0);
        list(table, L"outbox", SUBMITTED);
    }
    return S_OK;
}

/* ---- messages ---- */
/* What a store without Unicode keeps of a text. */
static void narrow(SPropValue *value)
{
    static char narrow[1 << 20];
    if (PROP_TYPE(value->ulPropTag) != PT_UNICODE)
        return;
    WideCharToMultiByte(1252, 0, value->Value.lpszW, -1, narrow, sizeof narrow, NULL, NULL);
    MultiByteToWideChar(1252, 0, narrow, -1, value->Value.lpszW, (int)wcslen(value->Value.lpszW) + 1);
}

static HRESULT WINAPI CreateMessage(object *folder, LPCIID id, ULONG flags, object **out)
{
    static LONG number;
    FILETIME now;
    object *made = *out = make(MESSAGE, folder->profile);
    play("create");
    GetSystemTimeAsFileTime(&now);
    /* 16 characters and an ending: the 16 are the search key. */
    swprintf(made->name, 64, L"%08lx%04lx%04lx.msg", (unsigned long)now.dwLowDateTime, GetCurrentProcessId() & 0xFFFF,
             (unsigned long)InterlockedIncrement(&number) & 0xFFFF);
    SPropValue entry_id = bytes_value(PR_ENTRYID, made->name, (ULONG)wcslen(made->name) * 2);
    SPropValue search_key = bytes_value(PR_SEARCH_KEY, made->name, 32);
    put(made, &entry_id);
    put(made, &search_key);
    return S_OK;
}

static HRESULT WINAPI ModifyRecipients(object *message, ULONG flags, LPADRLIST list)
{
    if (!message->recipients)
        message->recipients = calloc(1, 65536);
    for (ULONG i = 0; i < list->cEntries; i++)
        for (ULONG j = 0; j < list->aEntries[i].cValues; j++) {
            SPropValue *value = &list->aEntries[i].rgPropVals[j];
            char address[1024];
            if (PROP_ID(value->ulPropTag) != PROP_ID(PR_EMAIL_ADDRESS))
                continue;
            if (PROP_TYPE(value->ulPropTag) == PT_UNICODE)
                WideCharToMultiByte(CP_UTF8, 0, value->Value.lpszW, -1, address, sizeof address, NULL, NULL);
            else
                lstrcpynA(address, value->Value.lpszA, sizeof address);
            sprintf(message->recipients + strlen(message->recipients), "to: %s\n", address);
        }
    return S_OK;
}

/* Whole or not at all, as a store does it: this process may be killed at any moment. */
static void write_draft(object *message)
{
    wchar_t path[MAX_PATH], fresh[MAX_PATH];
    static char text[1 << 20];
    place_of(path, L"drafts", message->name);
    wcscpy(fresh, path);
    wcscat(fresh, L".new");
    FILE *file = _wfopen(fresh, L"wb");
    if (!file)
        return;
    fputs(message->recipients ? message->recipients : "", file);
    for (int i = 0; i < message->property_count; i++) {
        SPropValue *value = &message->properties[i];
        if (PROP_TYPE(value->ulPropTag) == PT_UNICODE) {
            WideCharToMultiByte(CP_UTF8, 0, value->Value.lpszW, -1, text, sizeof text, NULL, NULL);
            fprintf(file, "%08lx: %s\n", (unsigned long)value->ulPropTag, text);
        } else if (PROP_ID(value->ulPropTag) == 0x1013) { /* PR_HTML */
            fprintf(file, "%08lx: %.*s\n", (unsigned long)value->ulPropTag, (int)value->Value.bin.cb, (char *)value->Value.bin.lpb);
        }
    }
    fclose(file);
    MoveFileExW(fresh, path, MOVEFILE_REPLACE_EXISTING);
}

static HRESULT WINAPI SaveChanges(object *it, ULONG flags)
{
    char value[32];
    play("save");
    for (int i = 0; asked("ansi", value, sizeof value) && i < it->property_count; i++)
        narrow(&it->properties[i]);
    write_draft(it);
    return S_OK;
}

static HRESULT WINAPI SubmitMessage(object *message, ULONG flags)
{
    char answer[64];
    play("submit");
    if (!message->recipients)
        return MAPI_E_NO_RECIPIENTS;
    if (asked("submit", answer, sizeof answer))
        return (HRESULT)strtoul(answer, NULL, 0);
    write_draft(message); /* written anew: its age counts from now */
    move(message->name, L"drafts", L"outbox");
    play("submitted");
    transport(message->profile);
    return S_OK;
}

static void name_from(wchar_t *name, const void *entry_id, ULONG size)
{
    memset(name, 0, 64 * sizeof(wchar_t));
    memcpy(name, entry_id, size > 120 ? 120 : size);
}

static HRESULT WINAPI AbortSubmit(object *store, ULONG size, LPENTRYID entry_id, ULONG flags)
{
    wchar_t name[64];
    char answer[64];
    name_from(name, entry_id, size);
    if (asked("abort", answer, sizeof answer))
        return (HRESULT)strtoul(answer, NULL, 0);
    if (!exists(L"outbox", name))
        return MAPI_E_NOT_IN_QUEUE;
    move(name, L"outbox", L"drafts");
    return S_OK;
}

static HRESULT WINAPI DeleteMessages(object *folder, LPENTRYLIST entries, ULONG_PTR window, void *progress, ULONG flags)
{
    for (ULONG i = 0; i < entries->cValues; i++) {
        wchar_t name[64], path[MAX_PATH];
        name_from(name, entries->lpbin[i].lpb, entries->lpbin[i].cb);
        place_of(path, L"drafts", name);
        DeleteFileW(path);
    }
    return S_OK;
}

/* ---- the store and the session ---- */
static HRESULT WINAPI OpenEntry(object *it, ULONG size, LPENTRYID entry_id, LPCIID id, ULONG flags, ULONG *type, object **out)
{
    BOOL is_sent = size == 8 && !memcmp(entry_id, SENT_ID, 8);
    if (!is_sent && !(size == 8 && !memcmp(entry_id, OUTBOX_ID, 8)))
        return MAPI_E_NOT_FOUND;
    *type = MAPI_FOLDER;
    *out = make(FOLDER, it->profile);
    lstrcpynW((*out)->name, is_sent ? L"sent" : L"outbox", 64);
    return S_OK;
}

static HRESULT WINAPI OpenMsgStore(object *session, ULONG_PTR window, ULONG size, LPENTRYID entry_id, LPCIID id, ULONG flags, object **out)
{
    char value[32];
    LONG unicode = asked("ansi", value, sizeof value) ? 0 : 0x40000; /* STORE_UNICODE_OK */
    object *store = *out = make(STORE, session->profile);
    SPropValue values[] = {
        bytes_value(PR_IPM_OUTBOX_ENTRYID, OUTBOX_ID, 8), bytes_value(SENTMAIL_ENTRYID, SENT_ID, 8),
        number_value(PR_STORE_SUPPORT_MASK, 0x80 | unicode | 0x20 | 0x8 | 0x10),
        bytes_value(PR_MDB_PROVIDER, is_tight(session->profile) ? EXCHANGE_PROVIDER : PST_PROVIDER, 16),
    };
    note_call("OpenMsgStore", flags, session->profile);
    for (int i = 0; i < 4; i++)
        put(store, &values[i]);
    return S_OK;
}

static HRESULT WINAPI GetMsgStoresTable(object *session, ULONG flags, object **out)
{
    SPropValue is_default = {0};
    is_default.ulPropTag = PR_DEFAULT_STORE;
    is_default.Value.b = TRUE;
    SPropValue row[] = {bytes_value(PR_ENTRYID, "STORE001", 8), is_default};
    *out = make(TABLE, session->profile);
    add_row(*out, row, 2);
    return S_OK;
}

static HRESULT WINAPI Logoff(object *session, ULONG_PTR window, ULONG flags, ULONG reserved) { return S_OK; }
static HRESULT WINAPI StoreLogoff(object *store, ULONG *flags) { return S_OK; }

void add_store_methods(void)
{
    methods_of[SESSION][4] = GetMsgStoresTable;
    methods_of[SESSION][5] = OpenMsgStore;
    methods_of[SESSION][9] = OpenEntry;
    methods_of[SESSION][17] = Logoff;
    methods_of[STORE][17] = OpenEntry;
    methods_of[STORE][21] = StoreLogoff;
    methods_of[STORE][22] = AbortSubmit;
    methods_of[FOLDER][14] = GetContentsTable;
    methods_of[FOLDER][16] = OpenEntry;
    methods_of[FOLDER][19] = CreateMessage;
    methods_of[FOLDER][21] = DeleteMessages;
    methods_of[MESSAGE][4] = SaveChanges;
    methods_of[MESSAGE][19] = ModifyRecipients;
    methods_of[MESSAGE][20] = SubmitMessage;
}
