/* Copyright The Enarx in Go Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * lua SCRIPT [ARGS...]: runs a script with Lua's standard libraries, as far as
 * the system has what they need. */
#include <stdio.h>
#include <stdlib.h>

#include "lauxlib.h"
#include "lua.h"
#include "lualib.h"

/* with_traceback makes an error a message that says where it comes from. */
static int with_traceback(lua_State *L)
{
	luaL_traceback(L, L, luaL_tolstring(L, 1, NULL), 1);
	return 1;
}

static int run(lua_State *L)
{
	int argc = (int)lua_tointeger(L, 1);
	char **argv = lua_touserdata(L, 2);

	luaL_openlibs(L);
	lua_createtable(L, argc, 1);
	for (int i = 1; i < argc; i++) {
		lua_pushstring(L, argv[i]);
		lua_rawseti(L, -2, i - 1);
	}
	lua_setglobal(L, "arg");
	lua_pushcfunction(L, with_traceback);
	if (luaL_loadfile(L, argv[1]) != LUA_OK || lua_pcall(L, 0, 0, -2) != LUA_OK)
		return lua_error(L);
	return 0;
}

int main(int argc, char **argv)
{
	lua_State *L = luaL_newstate();

	if (argc < 2 || L == NULL) {
		fprintf(stderr, argc < 2 ? "usage: lua SCRIPT [ARGS...]\n" : "lua: no memory\n");
		return 2;
	}
	lua_pushcfunction(L, run);
	lua_pushinteger(L, argc);
	lua_pushlightuserdata(L, argv);
	int status = lua_pcall(L, 2, 0, 0);
	if (status != LUA_OK)
		fprintf(stderr, "lua: %s\n", lua_tostring(L, -1));
	lua_close(L);
	return status == LUA_OK ? 0 : 1;
}
