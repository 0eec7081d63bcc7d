/*
 * Security descriptors from SDDL strings ("SDDL for Device Objects"): the discretionary list with allowing and denying
 * entries, owner and group.
 */
#include <stdlib.h>
#include <string.h>

#include <wdm/se.h>

#include "nt/io/sddl.h"

#define SID_WORDS (2u + SID_MAX_SUB_AUTHORITIES) /* in units of ULONG */

struct sid {
    ULONG words[SID_WORDS]; /* a SID */
    size_t size;
};

static const struct {
    const char *name;
    UCHAR authority;
    UCHAR count;
    ULONG sub[2];
} known_sids[] = {
    {"WD", 1, 1, {0}},       {"CO", 3, 1, {0}},       {"CG", 3, 1, {1}},       {"NU", 5, 1, {2}},
    {"IU", 5, 1, {4}},       {"SU", 5, 1, {6}},       {"AN", 5, 1, {7}},       {"AU", 5, 1, {11}},
    {"RC", 5, 1, {12}},      {"SY", 5, 1, {18}},      {"LS", 5, 1, {19}},      {"NS", 5, 1, {20}},
    {"BA", 5, 2, {32, 544}}, {"BU", 5, 2, {32, 545}}, {"BG", 5, 2, {32, 546}}, {"PU", 5, 2, {32, 547}},
    {"AC", 15, 2, {2, 1}},
};

static const struct {
    char name[3];
    ULONG mask;
} rights[] = {
    {"GA", GENERIC_ALL},       {"GR", GENERIC_READ},       {"GW", GENERIC_WRITE},
    {"GX", GENERIC_EXECUTE},   {"RC", READ_CONTROL},       {"SD", DELETE},
    {"WD", WRITE_DAC},         {"WO", WRITE_OWNER},        {"FA", FILE_ALL_ACCESS},
    {"FR", FILE_GENERIC_READ}, {"FW", FILE_GENERIC_WRITE}, {"FX", FILE_GENERIC_EXECUTE},
};

static const struct {
    char name[3];
    UCHAR flag;
} ace_flags[] = {
    {"CI", CONTAINER_INHERIT_ACE}, {"OI", OBJECT_INHERIT_ACE}, {"NP", NO_PROPAGATE_INHERIT_ACE},
    {"IO", INHERIT_ONLY_ACE},      {"ID", INHERITED_ACE},
};

static bool is_pair(const char *at, const char *name)
{
    return at[0] == name[0] && at[1] == name[1];
}

static void make_sid(struct sid *sid, UCHAR authority, unsigned count, const ULONG *sub)
{
    PISID into = (PISID)sid->words;

    memset(sid, 0, sizeof(*sid));
    into->Revision = SID_REVISION;
    into->SubAuthorityCount = (UCHAR)count;
    into->IdentifierAuthority.Value[5] = authority;
    memcpy(into->SubAuthority, sub, count * sizeof(ULONG));
    sid->size = FIELD_OFFSET(SID, SubAuthority) + count * sizeof(ULONG);
}

/* "S-1-5-32-544"; *at is left behind it. */
static bool parse_numbers(const char **at, struct sid *sid)
{
    ULONG sub[SID_MAX_SUB_AUTHORITIES];
    unsigned count = 0;
    unsigned long authority;
    char *end;

    authority = strtoul(*at + strlen("S-1-"), &end, 10);
    if (end == *at + strlen("S-1-") || authority > 255)
        return false;
    while (*end == '-' && count < SID_MAX_SUB_AUTHORITIES)
        sub[count++] = (ULONG)strtoul(end + 1, &end, 10);
    *at = end;
    make_sid(sid, (UCHAR)authority, count, sub);
    return count != 0;
}

static bool parse_sid(const char **at, struct sid *sid)
{
    if (strncmp(*at, "S-1-", 4) == 0)
        return parse_numbers(at, sid);
    for (unsigned index = 0; index < RTL_NUMBER_OF(known_sids); index++) {
        if (!is_pair(*at, known_sids[index].name))
            continue;
        make_sid(sid, known_sids[index].authority, known_sids[index].count, known_sids[index].sub);
        *at += 2;
        return true;
    }
    return false;
}

static bool parse_flags(const char **at, UCHAR *flags)
{
    *flags = 0;
    while (**at != ';') {
        unsigned index = 0;

        while (index < RTL_NUMBER_OF(ace_flags) && !is_pair(*at, ace_flags[index].name))
            index++;
        if (index == RTL_NUMBER_OF(ace_flags))
            return false;
        *flags |= ace_flags[index].flag;
        *at += 2;
    }
    return true;
}

static bool parse_rights(const char **at, ULONG *mask)
{
    char *end;

    *mask = 0;
    if ((*at)[0] == '0' && ((*at)[1] == 'x' || (*at)[1] == 'X')) {
        *mask = (ULONG)strtoul(*at, &end, 16);
        *at = end;
        return true;
    }
    while (**at != ';') {
        unsigned index = 0;

        while (index < RTL_NUMBER_OF(rights) && !is_pair(*at, rights[index].name))
            index++;
        if (index == RTL_NUMBER_OF(rights))
            return false;
        *mask |= rights[index].mask;
        *at += 2;
    }
    return true;
}

static bool skip(const char **at, const char *expected)
{
    size_t length = strlen(expected);

    if (strncmp(*at, expected, length) != 0)
        return false;
    *at += length;
    return true;
}

/* "(A;;GA;;;SY)": appended to the list. */
static bool parse_ace(const char **at, PACL acl, size_t room)
{
    PACCESS_ALLOWED_ACE ace = (PACCESS_ALLOWED_ACE)((char *)acl + acl->AclSize);
    struct sid sid;
    UCHAR type;
    UCHAR flags;
    ULONG mask;
    size_t size;

    if (!skip(at, "("))
        return false;
    if (**at != 'A' && **at != 'D')
        return false;
    type = **at == 'A' ? ACCESS_ALLOWED_ACE_TYPE : ACCESS_DENIED_ACE_TYPE;
    (*at)++;
    if (!skip(at, ";") || !parse_flags(at, &flags) || !skip(at, ";") || !parse_rights(at, &mask) || !skip(at, ";;;") ||
        !parse_sid(at, &sid) || !skip(at, ")"))
        return false;
    size = FIELD_OFFSET(ACCESS_ALLOWED_ACE, SidStart) + sid.size;
    if (acl->AclSize + size > room)
        return false;
    ace->Header.AceType = type;
    ace->Header.AceFlags = flags;
    ace->Header.AceSize = (USHORT)size;
    ace->Mask = mask;
    memcpy(&ace->SidStart, sid.words, sid.size);
    acl->AclSize = (USHORT)(acl->AclSize + size);
    acl->AceCount++;
    return true;
}

static bool parse_dacl(const char **at, PSECURITY_DESCRIPTOR_CONTROL control, PACL acl, size_t room)
{
    for (;;) {
        if (skip(at, "P"))
            *control |= SE_DACL_PROTECTED;
        else if (skip(at, "AR"))
            *control |= SE_DACL_AUTO_INHERIT_REQ;
        else if (skip(at, "AI"))
            *control |= SE_DACL_AUTO_INHERITED;
        else
            break;
    }
    *control |= SE_DACL_PRESENT;
    acl->AclRevision = ACL_REVISION;
    acl->AclSize = sizeof(ACL);
    while (**at == '(')
        if (!parse_ace(at, acl, room))
            return false;
    return true;
}

size_t sddl_parse(const char *text, void *buffer, size_t size)
{
    PISECURITY_DESCRIPTOR_RELATIVE descriptor = buffer;
    size_t used = sizeof(*descriptor);
    struct sid sid;

    if (size < sizeof(*descriptor) + sizeof(ACL) + 2 * sizeof(sid.words))
        return 0;
    memset(buffer, 0, size);
    descriptor->Revision = SECURITY_DESCRIPTOR_REVISION;
    descriptor->Control = SE_SELF_RELATIVE;
    while (*text != 0) {
        if (text[0] == 'D' && text[1] == ':' && descriptor->Dacl == 0) {
            PACL acl = (PACL)((char *)buffer + used);

            text += 2;
            if (size - used < sizeof(ACL) || !parse_dacl(&text, &descriptor->Control, acl, size - used))
                return 0;
            descriptor->Dacl = (ULONG)used;
            used += acl->AclSize;
        } else if ((text[0] == 'O' || text[0] == 'G') && text[1] == ':') {
            ULONG *offset = text[0] == 'O' ? &descriptor->Owner : &descriptor->Group;

            text += 2;
            if (*offset != 0 || !parse_sid(&text, &sid) || size - used < sid.size)
                return 0;
            memcpy((char *)buffer + used, sid.words, sid.size);
            *offset = (ULONG)used;
            used += sid.size;
        } else {
            return 0;
        }
    }
    return descriptor->Dacl != 0 ? used : 0; /* one without a list would let everybody in */
}
