/*
 * value.h - what may stand behind a '=': sizes, times, percentages, names, channels, pins,
 * addresses.
 *
 * Text in, number or yes/no out; returns 0 or NX_ECONF with why saying what is wrong and how it is
 * written. Knows neither files nor lines: the caller puts those in front. Pure.
 */
#pragma once
#include "config/table.h"

int value_size(const char *text, uint64_t *ret, struct why *why);    /* "64KiB", "100" */
int value_time(const char *text, int64_t *ret_ms, struct why *why);  /* "90s", "10min" */
int value_count(const char *text, uint64_t *ret, struct why *why);   /* "64" */
int value_percent(const char *text, uint64_t *ret, struct why *why); /* "25%", 0 to 100 */
int value_bool(const char *text, bool *ret, struct why *why);        /* yes no true false on off */
int value_choice(const char *text, const char *choices, unsigned *ret, struct why *why);
int value_name(const char *text, struct why *why);    /* letters, digits, . _ -; at most 64 */
int value_pattern(const char *text, struct why *why); /* a name, or a beginning and '*' */
int value_san(const char *text, struct why *why);     /* DNS name, URI, mail address */
int value_pin(const char *text, uint8_t pin[32], struct why *why);
/* *ret is malloc'ed: the address as inet_ntop() writes it, with its port, 7417 where none was given
 */
int value_address(const char *text, char **ret, struct why *why);
/* two such, which are not the same: can both be listened on? */
int value_addresses(const char *a, const char *b, struct why *why);
/* as it would be written: "2GiB", "10min"; to has 32 octets */
void value_show_size(uint64_t octets, char *to);
void value_show_time(uint64_t ms, char *to);
/* inside least and most of its setting? */
int value_range(const struct setting *setting, uint64_t value, struct why *why);
