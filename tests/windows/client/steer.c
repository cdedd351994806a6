/* What a test asked for: lines NAME=VALUE in steer.txt beside the DLL, read anew each time.
 *
 *   dialog=logon|submit     shows a window there          hang=logon|submit|submitted  never comes back from there
 *   hold=MOMENT             waits there, for as long as this line stands; calls.log then has "held". Moments: logon, create,
 *                           save, submit, submitted, and outbox and sent, where it is looked into these
 *   logon=0x80040111        the logon's answer            submit=0x8004010B            the submission's answer
 *   delay_ms=2000           time in the Outbox            stuck=1                      it never leaves the Outbox
 *   abort=0x80040114        AbortSubmit's answer          ansi=1                       the store keeps no Unicode
 *   spooler=1               a spooler takes what a tight transport does not, where the logon allows it
 */
#include "client.h"

static HMODULE own_module(void)
{
    HMODULE module = NULL;
    GetModuleHandleExW(GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT,
                       (LPCWSTR)own_module, &module);
    return module;
}

static void own_folder(wchar_t *path)
{
    GetModuleFileNameW(own_module(), path, MAX_PATH);
    *wcsrchr(path, L'\\') = 0;
}

void place_of(wchar_t *path, const wchar_t *folder, const wchar_t *name)
{
    own_folder(path);
    wcscat(path, L"\\");
    wcscat(path, folder);
    CreateDirectoryW(path, NULL);
    wcscat(path, L"\\");
    wcscat(path, name);
}

BOOL asked(const char *name, char *value, int size)
{
    wchar_t path[MAX_PATH];
    char line[256];
    size_t length = strlen(name);
    BOOL found = FALSE;
    own_folder(path);
    wcscat(path, L"\\steer.txt");
    FILE *file = _wfopen(path, L"rb");
    if (!file)
        return FALSE;
    while (!found && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\r\n")] = 0;
        if (!strncmp(line, name, length) && line[length] == '=') {
            lstrcpynA(value, line + length + 1, size);
            found = TRUE;
        }
    }
    fclose(file);
    return found;
}

BOOL asked_at(const char *name, const char *moment)
{
    char value[64];
    return asked(name, value, sizeof value) && !strcmp(value, moment);
}

static void hold(const char *moment)
{
    wchar_t words[64];
    if (!asked_at("hold", moment))
        return;
    MultiByteToWideChar(CP_UTF8, 0, moment, -1, words, 64);
    note_call("held", 0, words);
    while (asked_at("hold", moment))
        Sleep(50);
}

void play(const char *moment)
{
    hold(moment);
    if (asked_at("hang", moment))
        Sleep(INFINITE);
    if (asked_at("dialog", moment))
        MessageBoxW(NULL, L"Enter your password", L"Choose Profile", MB_OK);
}

void note_call(const char *function, ULONG flags, const wchar_t *words)
{
    wchar_t path[MAX_PATH];
    own_folder(path);
    wcscat(path, L"\\calls.log");
    FILE *file = _wfopen(path, L"ab");
    if (file) {
        fprintf(file, "%s flags=0x%08lx %ls\n", function, (unsigned long)flags, words ? words : L"");
        fclose(file);
    }
}
