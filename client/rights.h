/*
 * rights.h - what the exchange's HELLO says that this key may do: asked, and in words. A list that
 * was cut may hold anything.
 */
#pragma once
#include "proto/msg.h"

bool rights_to_publish(const struct hello *hello, const char *channel);
bool rights_to_subscribe(const struct hello *hello, const char *subscription);
/* a list as a person reads it: an empty one is "nothing" */
const char *rights_words(const char list[RIGHTS_SIZE]);
