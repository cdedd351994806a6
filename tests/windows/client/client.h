/* A mail client for tests, as Windows' mail clients look from outside: one DLL with Extended MAPI.
 *
 * What it does is steered by the file steer.txt beside the DLL (see steer.c), and what it did lies in folders beside it:
 *   drafts\  saved in the Outbox and not submitted     outbox\  submitted and still there
 *   sent\    left the Outbox: what somebody would get  calls.log  the flags it was called with
 * Each message is a text file: recipients, then its texts by property tag. For 64 bits alone, where callee and caller agree on
 * who cleans the stack, so that one function can stand for every method that is not here.
 */
#ifndef CLIENT_H
#define CLIENT_H
#include <windows.h>
#include <stdio.h>
#include <stdlib.h>
/* The header declares these with other linkage than a DLL that offers them needs. */
#define MAPIInitialize header_MAPIInitialize
#define MAPIAdminProfiles header_MAPIAdminProfiles
#define MAPILogonEx header_MAPILogonEx
#define MAPIUninitialize header_MAPIUninitialize
#include <mapix.h>
#undef MAPIInitialize
#undef MAPIAdminProfiles
#undef MAPILogonEx
#undef MAPIUninitialize
#include <mapicode.h>
#include <mapitags.h>
#define EXPORT __declspec(dllexport)

/* objects.c: one struct for every kind of MAPI object. */
enum kind { SESSION, STORE, FOLDER, MESSAGE, TABLE, PROFILES, SERVICES, KINDS };
typedef struct object {
    void **methods;
    LONG references;
    wchar_t profile[64];
    wchar_t name[64];          /* a folder's, or a message's file name */
    SPropValue *properties;
    int property_count;
    SPropValue **rows;         /* of a table */
    int *row_widths;
    int row_count, position;
    ULONG *columns, column_count;
    char *recipients;          /* of a message: a line for each */
} object;
extern void *methods_of[KINDS][64];
object *make(enum kind kind, const wchar_t *profile);
void put(object *it, const SPropValue *value);
void add_row(object *table, const SPropValue *values, int count);
SPropValue text_value(ULONG id, const wchar_t *text);
SPropValue number_value(ULONG tag, LONG number);
SPropValue bytes_value(ULONG tag, const void *bytes, ULONG size);

/* steer.c: what a test asked for, and where things lie. */
BOOL asked(const char *name, char *value, int size);
BOOL asked_at(const char *name, const char *moment);
void place_of(wchar_t *path, const wchar_t *folder, const wchar_t *name);
void note_call(const char *function, ULONG flags, const wchar_t *words);
void play(const char *moment);   /* hangs or shows a dialog if that was asked for this moment */

/* profile.c and store.c add their methods. */
void add_profile_methods(void);
void add_store_methods(void);
BOOL is_known(const wchar_t *profile);
BOOL is_tight(const wchar_t *profile);
extern BOOL spooler_runs; /* the session allowed it */
extern const BYTE EXCHANGE_PROVIDER[16], PST_PROVIDER[16];
#endif
