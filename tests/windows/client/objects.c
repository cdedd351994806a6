/* MAPI's memory, objects, properties and tables. Objects are never freed: the process that uses them lives for one message. */
#include "client.h"

void *methods_of[KINDS][64];

/* ---- memory: blocks that hang on one another, as MAPIAllocateMore wants ---- */
typedef struct block { struct block *next; void *alignment; } block;

EXPORT SCODE WINAPI MAPIAllocateBuffer(ULONG size, LPVOID *out)
{
    block *made = calloc(1, sizeof(block) + size);
    if (!made)
        return MAPI_E_NOT_ENOUGH_MEMORY;
    *out = made + 1;
    return S_OK;
}

EXPORT SCODE WINAPI MAPIAllocateMore(ULONG size, LPVOID base, LPVOID *out)
{
    block *made = calloc(1, sizeof(block) + size), *first = (block *)base - 1;
    if (!made)
        return MAPI_E_NOT_ENOUGH_MEMORY;
    made->next = first->next;
    first->next = made;
    *out = made + 1;
    return S_OK;
}

EXPORT ULONG WINAPI MAPIFreeBuffer(LPVOID buffer)
{
    block *one = buffer ? (block *)buffer - 1 : NULL;
    while (one) {
        block *next = one->next;
        free(one);
        one = next;
    }
    return 0;
}

EXPORT void WINAPI FreeProws(LPSRowSet rows)
{
    if (!rows)
        return;
    for (ULONG i = 0; i < rows->cRows; i++)
        MAPIFreeBuffer(rows->aRow[i].lpProps);
    MAPIFreeBuffer(rows);
}

EXPORT void WINAPI FreePadrlist(LPADRLIST list) { FreeProws((LPSRowSet)list); }

/* ---- properties; texts are kept wide ---- */
static void copy_bytes(void **to, const void *from, size_t size, void *base)
{
    MAPIAllocateMore((ULONG)size, base, to);
    memcpy(*to, from, size);
}

static void copy(SPropValue *to, const SPropValue *from, void *base)
{
    *to = *from;
    if (PROP_TYPE(from->ulPropTag) == PT_UNICODE)
        copy_bytes((void **)&to->Value.lpszW, from->Value.lpszW, (wcslen(from->Value.lpszW) + 1) * 2, base);
    else if (PROP_TYPE(from->ulPropTag) == PT_STRING8)
        copy_bytes((void **)&to->Value.lpszA, from->Value.lpszA, strlen(from->Value.lpszA) + 1, base);
    else if (PROP_TYPE(from->ulPropTag) == PT_BINARY)
        copy_bytes((void **)&to->Value.bin.lpb, from->Value.bin.lpb, from->Value.bin.cb, base);
}

static void give(SPropValue *to, const SPropValue *from, int count, ULONG tag, void *base)
{
    for (int i = 0; i < count; i++) {
        if (PROP_ID(from[i].ulPropTag) != PROP_ID(tag))
            continue;
        if (PROP_TYPE(tag) == PT_STRING8 && PROP_TYPE(from[i].ulPropTag) == PT_UNICODE) {
            char narrow[4096];
            SPropValue value = {0};
            WideCharToMultiByte(CP_ACP, 0, from[i].Value.lpszW, -1, narrow, sizeof narrow, NULL, NULL);
            value.ulPropTag = tag;
            value.Value.lpszA = narrow;
            copy(to, &value, base);
        } else {
            copy(to, &from[i], base);
        }
        return;
    }
    memset(to, 0, sizeof *to);
    to->ulPropTag = PROP_TAG(PT_ERROR, PROP_ID(tag));
    to->Value.err = MAPI_E_NOT_FOUND;
}

void put(object *it, const SPropValue *value)
{
    SPropValue *place = NULL;
    void *base;
    for (int i = 0; i < it->property_count; i++)
        if (PROP_ID(it->properties[i].ulPropTag) == PROP_ID(value->ulPropTag))
            place = &it->properties[i];
    if (!place) {
        it->properties = realloc(it->properties, sizeof(SPropValue) * (it->property_count + 1));
        place = &it->properties[it->property_count++];
    }
    MAPIAllocateBuffer(8, &base);
    if (PROP_TYPE(value->ulPropTag) == PT_STRING8) {
        int size = MultiByteToWideChar(CP_ACP, 0, value->Value.lpszA, -1, NULL, 0);
        wchar_t *wide = calloc(size + 1, 2);
        MultiByteToWideChar(CP_ACP, 0, value->Value.lpszA, -1, wide, size);
        *place = text_value(PROP_ID(value->ulPropTag), wide);
    } else {
        copy(place, value, base);
    }
}

SPropValue text_value(ULONG id, const wchar_t *text)
{
    SPropValue value = {0};
    value.ulPropTag = PROP_TAG(PT_UNICODE, id);
    value.Value.lpszW = (LPWSTR)text;
    return value;
}

SPropValue number_value(ULONG tag, LONG number)
{
    SPropValue value = {0};
    value.ulPropTag = tag;
    value.Value.l = number;
    return value;
}

SPropValue bytes_value(ULONG tag, const void *bytes, ULONG size)
{
    SPropValue value = {0};
    value.ulPropTag = tag;
    value.Value.bin.cb = size;
    value.Value.bin.lpb = (LPBYTE)bytes;
    return value;
}

static HRESULT WINAPI GetProps(object *it, LPSPropTagArray tags, ULONG flags, ULONG *count, LPSPropValue *out)
{
    ULONG wanted = tags ? tags->cValues : (ULONG)it->property_count;
    HRESULT result = S_OK;
    MAPIAllocateBuffer(sizeof(SPropValue) * (wanted + 1), (void **)out);
    for (ULONG i = 0; i < wanted; i++) {
        ULONG tag = tags ? tags->aulPropTag[i] : it->properties[i].ulPropTag;
        give(*out + i, it->properties, it->property_count, tag, *out);
        if (PROP_TYPE((*out)[i].ulPropTag) == PT_ERROR)
            result = MAPI_W_ERRORS_RETURNED;
    }
    *count = wanted;
    return result;
}

static HRESULT WINAPI SetProps(object *it, ULONG count, LPSPropValue values, LPSPropProblemArray *problems)
{
    for (ULONG i = 0; i < count; i++)
        put(it, values + i);
    if (problems)
        *problems = NULL;
    return S_OK;
}

/* ---- tables ---- */
void add_row(object *table, const SPropValue *values, int count)
{
    void *base;
    MAPIAllocateBuffer(sizeof(SPropValue) * count, &base);
    for (int i = 0; i < count; i++)
        copy((SPropValue *)base + i, values + i, base);
    table->rows = realloc(table->rows, sizeof(void *) * (table->row_count + 1));
    table->row_widths = realloc(table->row_widths, sizeof(int) * (table->row_count + 1));
    table->rows[table->row_count] = base;
    table->row_widths[table->row_count++] = count;
}

static HRESULT WINAPI SetColumns(object *table, LPSPropTagArray tags, ULONG flags)
{
    table->column_count = tags->cValues;
    table->columns = realloc(table->columns, sizeof(ULONG) * (tags->cValues + 1));
    memcpy(table->columns, tags->aulPropTag, sizeof(ULONG) * tags->cValues);
    return S_OK;
}

static HRESULT WINAPI GetRowCount(object *table, ULONG flags, ULONG *count)
{
    *count = table->row_count;
    return S_OK;
}

static HRESULT WINAPI SeekRow(object *table, BOOKMARK from, LONG rows, LONG *sought)
{
    table->position = (from == BOOKMARK_BEGINNING ? 0 : table->position) + rows;
    if (sought)
        *sought = rows;
    return S_OK;
}

static HRESULT WINAPI QueryRows(object *table, LONG most, ULONG flags, LPSRowSet *out)
{
    int count = table->row_count - table->position;
    count = count < 0 ? 0 : count > most ? most : count;
    MAPIAllocateBuffer(sizeof(SRowSet) + sizeof(SRow) * count, (void **)out);
    (*out)->cRows = count;
    for (int i = 0; i < count; i++) {
        SPropValue *from = table->rows[table->position + i];
        int width = table->row_widths[table->position + i];
        ULONG wanted = table->column_count ? table->column_count : (ULONG)width;
        SRow *row = &(*out)->aRow[i];
        MAPIAllocateBuffer(sizeof(SPropValue) * wanted, (void **)&row->lpProps);
        row->cValues = wanted;
        for (ULONG j = 0; j < wanted; j++)
            give(&row->lpProps[j], from, width, table->column_count ? table->columns[j] : from[j].ulPropTag, row->lpProps);
    }
    table->position += count;
    return S_OK;
}

EXPORT HRESULT WINAPI HrQueryAllRows(object *table, LPSPropTagArray tags, void *restriction, void *order, LONG most, LPSRowSet *out)
{
    if (tags)
        SetColumns(table, tags, 0);
    table->position = 0;
    return QueryRows(table, 1 << 20, 0, out);
}

/* ---- every object ---- */
static HRESULT WINAPI QueryInterface(object *it, REFIID id, void **out)
{
    InterlockedIncrement(&it->references);
    *out = it;
    return S_OK;
}

static ULONG WINAPI AddRef(object *it) { return InterlockedIncrement(&it->references); }
static ULONG WINAPI Release(object *it) { return InterlockedDecrement(&it->references); }
static HRESULT WINAPI NotSupported(void *it) { return MAPI_E_NO_SUPPORT; }

static void add_methods(void)
{
    for (int kind = 0; kind < KINDS; kind++) {
        for (int place = 0; place < 64; place++)
            methods_of[kind][place] = NotSupported;
        methods_of[kind][0] = QueryInterface;
        methods_of[kind][1] = AddRef;
        methods_of[kind][2] = Release;
    }
    for (int kind = STORE; kind <= MESSAGE; kind++) { /* IMAPIProp */
        methods_of[kind][5] = GetProps;
        methods_of[kind][8] = SetProps;
    }
    methods_of[TABLE][7] = SetColumns;
    methods_of[TABLE][9] = GetRowCount;
    methods_of[TABLE][10] = SeekRow;
    methods_of[TABLE][19] = QueryRows;
    add_profile_methods();
    add_store_methods();
}

object *make(enum kind kind, const wchar_t *profile)
{
    object *made = calloc(1, sizeof *made);
    if (!methods_of[0][0])
        add_methods();
    made->methods = methods_of[kind];
    made->references = 1;
    lstrcpynW(made->profile, profile, 64);
    return made;
}
