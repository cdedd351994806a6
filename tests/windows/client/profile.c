/* Profiles, their services, and the logon. "Backup" has Exchange's tight pair of store and transport; "Internet" a file of its own and
 * an SMTP transport, which only the spooler serves: without one its mail stays in the Outbox. */
#define INITGUID
#include "client.h"

#define OWN_STORE 0x100 /* STATUS_OWN_STORE */
#define SERVICE_NAME 0x3D09
#define DISPLAY_NAME 0x3001

static const wchar_t *NAMES[] = {L"Backup", L"Internet"};
static const BYTE FIRST_SERVICE[16] = {1}, SECOND_SERVICE[16] = {2}, THIRD_SERVICE[16] = {3};
const BYTE EXCHANGE_PROVIDER[16] = {0x54, 0x94, 0xA1, 0xC0, 0x29, 0x7F, 0x10, 0x1B, 0xA5, 0x87, 0x08, 0x00, 0x2B, 0x2A, 0x25, 0x17};
const BYTE PST_PROVIDER[16] = {0x4E, 0x49, 0x54, 0x41, 0xF9, 0xBF, 0xB8, 0x01, 0x00, 0xAA, 0x00, 0x37, 0xD9, 0x6E};

BOOL is_known(const wchar_t *profile) { return !wcscmp(profile, NAMES[0]) || !wcscmp(profile, NAMES[1]); }
BOOL is_tight(const wchar_t *profile) { return !wcscmp(profile, NAMES[0]); }
BOOL spooler_runs = FALSE;

static void read_name(wchar_t *to, LPSTR given, ULONG flags)
{
    to[0] = 0;
    if (given && (flags & MAPI_UNICODE))
        lstrcpynW(to, (LPWSTR)given, 64);
    else if (given)
        MultiByteToWideChar(CP_ACP, 0, given, -1, to, 64);
}

static void add_provider(object *table, LONG type, const wchar_t *service, const BYTE *uid, LONG flags, const wchar_t *name, const BYTE *provider)
{
    SPropValue row[] = {
        number_value(PR_RESOURCE_TYPE, type), text_value(SERVICE_NAME, service), bytes_value(PR_SERVICE_UID, uid, 16),
        number_value(PR_RESOURCE_FLAGS, flags), text_value(DISPLAY_NAME, name), bytes_value(PR_MDB_PROVIDER, provider, 16),
    };
    add_row(table, row, provider ? 6 : 5);
}

static HRESULT WINAPI GetProviderTable(object *services, ULONG flags, object **out)
{
    object *table = *out = make(TABLE, services->profile);
    LONG default_store = STATUS_DEFAULT_STORE | STATUS_PRIMARY_STORE;
    if (is_tight(services->profile)) {
        add_provider(table, MAPI_STORE_PROVIDER, L"MSEMS", FIRST_SERVICE, default_store, L"Mailbox - Backup", EXCHANGE_PROVIDER);
        add_provider(table, MAPI_AB_PROVIDER, L"MSEMS", FIRST_SERVICE, 0, L"Address Book", NULL);
        add_provider(table, MAPI_TRANSPORT_PROVIDER, L"MSEMS", FIRST_SERVICE, OWN_STORE, L"Microsoft Exchange Transport", NULL);
    } else {
        add_provider(table, MAPI_STORE_PROVIDER, L"MSUPST MS", FIRST_SERVICE, default_store, L"Personal Folders", PST_PROVIDER);
        add_provider(table, MAPI_AB_PROVIDER, L"CONTAB", THIRD_SERVICE, 0, L"Contacts", NULL);
        add_provider(table, MAPI_TRANSPORT_PROVIDER, L"IMAIL", SECOND_SERVICE, 0, L"Internet Mail", NULL);
    }
    return S_OK;
}

static HRESULT WINAPI GetProfileTable(object *profiles, ULONG flags, object **out)
{
    object *table = *out = make(TABLE, L"");
    for (int i = 0; i < 2; i++) {
        SPropValue is_default = {0};
        is_default.ulPropTag = PR_DEFAULT_PROFILE;
        is_default.Value.b = i == 0;
        SPropValue row[] = {text_value(DISPLAY_NAME, NAMES[i]), is_default};
        add_row(table, row, 2);
    }
    return S_OK;
}

static HRESULT WINAPI AdminServices(object *profiles, LPSTR name, LPSTR password, ULONG_PTR window, ULONG flags, object **out)
{
    wchar_t profile[64];
    read_name(profile, name, flags);
    if (!is_known(profile))
        return MAPI_E_NOT_FOUND;
    *out = make(SERVICES, profile);
    return S_OK;
}

void add_profile_methods(void)
{
    methods_of[PROFILES][4] = GetProfileTable;
    methods_of[PROFILES][11] = AdminServices;
    methods_of[SERVICES][14] = GetProviderTable;
}

EXPORT HRESULT WINAPI MAPIInitialize(MAPIINIT_0 *how)
{
    note_call("MAPIInitialize", how ? how->ulFlags : 0, NULL);
    return S_OK;
}

EXPORT void WINAPI MAPIUninitialize(void) {}

EXPORT HRESULT WINAPI MAPIAdminProfiles(ULONG flags, object **out)
{
    note_call("MAPIAdminProfiles", flags, NULL);
    *out = make(PROFILES, L"");
    return S_OK;
}

EXPORT HRESULT WINAPI MAPILogonEx(ULONG_PTR window, LPSTR name, LPSTR password, FLAGS flags, object **out)
{
    wchar_t profile[64];
    char answer[64];
    read_name(profile, name, flags);
    note_call("MAPILogonEx", flags, profile);
    play("logon");
    if (flags & MAPI_LOGON_UI)
        MessageBoxW(NULL, L"Enter your password", L"Choose Profile", MB_OK);
    if (asked("logon", answer, sizeof answer))
        return (HRESULT)strtoul(answer, NULL, 0);
    if (!is_known(profile))
        return MAPI_E_NOT_FOUND;
    spooler_runs = !(flags & MAPI_NO_MAIL);
    *out = make(SESSION, profile);
    return S_OK;
}
