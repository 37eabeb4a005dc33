/*
 * fake_net.h - the outside of a net that has no sockets: lines of plain octets, turned by hand.
 *
 * fake_net.c defines every function of net/loop.h, conn.h, listen.h, tls.h and notify.h, so that
 * nothing of the real room is linked. Timers go by base/clock.h; a partner is let in by the pin
 * that its name gives (fake_pin).
 */
#pragma once
#include "net/listen.h"

/* the pin of a partner of this name: SHA-256 of the name */
void fake_pin(const char *name, uint8_t pin[32]);
bool fake_listening(const struct loop *loop);
bool fake_stopped(const struct loop *loop);
/* one turn: wakes, timers that are due, octets in, work put off, octets out. Was there any? */
bool fake_turn(struct loop *loop);
int64_t fake_next_timer(const struct loop *loop); /* boot ms, INT64_MAX = none */
void fake_signal(struct loop *loop, int number);

/* dial as NAME. NULL when it was not let in, with *ret_code */
struct conn *line_dial(struct loop *loop, const char *name, int *ret_code);
void line_write(struct conn *line, const void *p, size_t n); /* octets for the hub */
struct slice line_peek(const struct conn *line);             /* octets from the hub */
void line_take(struct conn *line, size_t n);
void line_cut(struct conn *line);           /* gone without a word */
bool line_is_over(const struct conn *line); /* the hub closed it */
/* how many octets may wait unread on the way from the hub, and the largest small frame */
void line_slow(struct conn *line, size_t unread_max, size_t small_max);
/* its certificate ends then (wall) */
void line_expires(struct conn *line, int64_t not_after_ms);
void line_let_go(struct conn **line);
