/* Copyright The Enarx in Go Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * How Lua throws and catches its errors where there is no longjmp: ldo.c takes
 * these macros instead of its own. unwind.c says how they work. The names f
 * and ud are those of luaD_rawrunprotected, the one function that catches:
 * LUAI_TRY's own third argument, the statement "(*f)(L, ud);", cannot be
 * handed to a function. */
#ifndef UNWIND_H
#define UNWIND_H

struct lua_State;

void unwind_try(struct lua_State *L, void (*f)(struct lua_State *, void *), void *ud);
void unwind_throw(void);

#define LUAI_TRY(L, c, a) unwind_try(L, f, ud)
#define LUAI_THROW(L, c) (unwind_throw(), __builtin_unreachable())
#define luai_jmpbuf char

/* WASI has no temporary files: os.tmpname fails. */
#define LUA_TMPNAMBUFSIZE 1
#define lua_tmpnam(b, e) ((void)(b), (e) = 1)

#endif
