/* Copyright The Enarx in Go Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Non-local exits for Lua without setjmp, without WebAssembly's exceptions and
 * without a change of Lua's source.
 *
 * Binaryen's Asyncify pass rewrites a module so that its stack can be unwound:
 * after asyncify.start_unwind every rewritten function returns at once. It is
 * made for pausing, and so it saves what it would need to wind the stack up
 * again. Lua never goes back to where an error was raised. So a throw starts
 * to unwind, and the catching function ends that, drops what was saved, and
 * goes on. The pass leaves functions that call its imports as they are. */
#include <errno.h>
#include <stdio.h>

#include "unwind.h"

__attribute__((import_module("asyncify"), import_name("start_unwind"))) void start_unwind(void *area);
__attribute__((import_module("asyncify"), import_name("stop_unwind"))) void stop_unwind(void);

static int unwinding;

/* Asyncify saves locals here, between next and end, and traps where they do
 * not fit. Lua allows 200 C calls within each other (LUAI_MAXCCALLS), and the
 * largest frame between a throw and its catch is below 1 KiB. */
static char saved[1 << 20];
static struct {
	char *next, *end;
} area;

/* This one returns: the check that Asyncify puts after the call of it leaves
 * the caller. */
void unwind_throw(void)
{
	unwinding = 1;
	area.next = saved;
	area.end = saved + sizeof saved;
	start_unwind(&area);
}

/* Functions that return early do not give their C stack back, so the catcher
 * sets the stack pointer as it was. */
__asm__(".globaltype __stack_pointer, i32\n");

static char *stack_pointer(void)
{
	char *sp;
	__asm__ volatile("global.get __stack_pointer\n"
			 "local.set %0"
			 : "=r"(sp));
	return sp;
}

static void set_stack_pointer(char *sp)
{
	__asm__ volatile("local.get %0\n"
			 "global.set __stack_pointer"
			 :
			 : "r"(sp));
}

__attribute__((noinline)) void unwind_try(struct lua_State *L, void (*f)(struct lua_State *, void *), void *ud)
{
	char *sp = stack_pointer();

	f(L, ud);
	if (unwinding) {
		unwinding = 0;
		stop_unwind();
		set_stack_pointer(sp);
	}
}

/* WASI has no shell, which is what 0 says, and no temporary files. */
int system(const char *command)
{
	return command == NULL ? 0 : -1;
}

FILE *tmpfile(void)
{
	errno = ENOTSUP;
	return NULL;
}
