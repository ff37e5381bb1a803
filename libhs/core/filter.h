/* Client filters. Spec: Client-Server API, "Filtering". */
#ifndef HS_CORE_FILTER_H
#define HS_CORE_FILTER_H

#include "base/fields.h"
#include "core/event.h"

typedef struct {
    bool has_types, has_senders, has_rooms;
    hs_strs types, not_types, senders, not_senders, rooms, not_rooms; /* types are globs ('*') */
    bool has_contains_url, contains_url;
    bool lazy_load_members, include_redundant_members, unread_thread_notifications;
    int64_t limit; /* -1: not given; capped by the service */
    hs_strs related_by_senders, related_by_rel_types;
    bool has_related_by_senders, has_related_by_rel_types;
    hs_strs rel_types, not_rel_types; /* MSC3874: the event's own relation */
    bool has_rel_types;
} hs_event_filter;

typedef struct {
    hs_event_filter presence, account_data;
    hs_event_filter timeline, state, ephemeral, room_account_data;
    bool has_rooms, include_leave;
    hs_strs rooms, not_rooms;
    bool has_event_fields, federation_format;
    hs_strs event_fields;
} hs_filter;

/* M_BAD_JSON (400) on a wrong shape, with the member named. The filter borrows from the value's tape. */
HS_NODISCARD hs_error *hs_filter_read(hs_arena *a, hs_jv v, hs_filter *ret);
/* A RoomEventFilter alone (/messages, /context). */
HS_NODISCARD hs_error *hs_event_filter_read(hs_arena *a, hs_jv v, hs_event_filter *ret);
/* The filter of somebody who sent none. */
hs_filter hs_filter_default(void);
bool hs_event_filter_type(const hs_event_filter *f, hs_str type);
bool hs_event_filter_room(const hs_event_filter *f, hs_str room_id);
bool hs_event_filter_match(const hs_event_filter *f, hs_str type, hs_str sender, hs_str room_id, hs_jv content);
bool hs_filter_room(const hs_filter *f, hs_str room_id);

#endif
