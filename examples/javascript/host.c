/* Copyright The Enarx in Go Authors
 * SPDX-License-Identifier: Apache-2.0
 *
 * js SCRIPT.js [ARGS...]: runs a module with QuickJS. A script sees ECMAScript,
 * relative imports, and three globals: print(...), args, and stdin, a function
 * that returns all of standard input. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "quickjs.h"

/* How much C stack a script may use before it gets an exception. */
enum { STACK = 256 << 10 };

/* slurp reads a stream to its end into memory that js_free frees, with a zero
 * byte after it. */
static char *slurp(JSContext *js, FILE *in, size_t *length)
{
	size_t room = 4096, n = 0;
	char *text = js_malloc(js, room);

	while (text != NULL) {
		n += fread(text + n, 1, room - 1 - n, in);
		if (n < room - 1)
			break;
		room *= 2;
		char *larger = js_realloc(js, text, room);
		if (larger == NULL)
			js_free(js, text);
		text = larger;
	}
	if (text == NULL)
		return NULL;
	text[n] = 0;
	*length = n;
	return text;
}

static JSModuleDef *load(JSContext *js, const char *name, void *opaque)
{
	size_t length;
	FILE *in = fopen(name, "rb");

	(void)opaque;
	if (in == NULL) {
		JS_ThrowReferenceError(js, "cannot open the module %s", name);
		return NULL;
	}
	char *text = slurp(js, in, &length);
	fclose(in);
	if (text == NULL)
		return NULL;
	JSValue code = JS_Eval(js, text, length, name, JS_EVAL_TYPE_MODULE | JS_EVAL_FLAG_COMPILE_ONLY);
	js_free(js, text);
	if (JS_IsException(code))
		return NULL;
	JSModuleDef *module = JS_VALUE_GET_PTR(code);
	JS_FreeValue(js, code); /* the context holds the module */
	return module;
}

static JSValue print(JSContext *js, JSValueConst this, int argc, JSValueConst *argv)
{
	(void)this;
	for (int i = 0; i < argc; i++) {
		size_t length;
		const char *text = JS_ToCStringLen(js, &length, argv[i]);
		if (text == NULL)
			return JS_EXCEPTION;
		if (i > 0)
			putchar(' ');
		fwrite(text, 1, length, stdout);
		JS_FreeCString(js, text);
	}
	putchar('\n');
	return JS_UNDEFINED;
}

static JSValue standard_input(JSContext *js, JSValueConst this, int argc, JSValueConst *argv)
{
	size_t length;
	char *text = slurp(js, stdin, &length);

	(void)this, (void)argc, (void)argv;
	if (text == NULL)
		return JS_EXCEPTION;
	JSValue string = JS_NewStringLen(js, text, length);
	js_free(js, text);
	return string;
}

/* report prints an exception with its stack. */
static void report(JSContext *js, JSValue exception)
{
	const char *text = JS_ToCString(js, exception);
	JSValue stack = JS_GetPropertyStr(js, exception, "stack");
	const char *where = JS_IsString(stack) ? JS_ToCString(js, stack) : NULL;

	fprintf(stderr, "%s\n%s", text ? text : "an exception that is no string", where ? where : "");
	JS_FreeCString(js, text);
	JS_FreeCString(js, where);
	JS_FreeValue(js, stack);
	JS_FreeValue(js, exception);
}

/* run evaluates a module and everything that it leaves to be done, and returns
 * the exit code. */
static int run(JSRuntime *runtime, JSContext *js, const char *script)
{
	JSModuleDef *module = load(js, script, NULL);
	JSContext *of;
	int left;

	if (module == NULL) {
		report(js, JS_GetException(js));
		return 1;
	}
	JSValue promise = JS_EvalFunction(js, JS_DupValue(js, JS_MKPTR(JS_TAG_MODULE, module)));
	while ((left = JS_ExecutePendingJob(runtime, &of)) > 0)
		;
	if (left < 0 || JS_IsException(promise)) {
		report(js, JS_GetException(js));
		left = 1;
	} else if (JS_PromiseState(js, promise) == JS_PROMISE_REJECTED) {
		report(js, JS_PromiseResult(js, promise));
		left = 1;
	} else if (JS_PromiseState(js, promise) == JS_PROMISE_PENDING) {
		fprintf(stderr, "%s waits for what never happens\n", script);
		left = 1;
	}
	JS_FreeValue(js, promise);
	return left;
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		fprintf(stderr, "usage: js SCRIPT.js [ARGS...]\n");
		return 2;
	}
	JSRuntime *runtime = JS_NewRuntime();
	JSContext *js = runtime ? JS_NewContext(runtime) : NULL;
	if (js == NULL) {
		fprintf(stderr, "js: no memory\n");
		return 2;
	}
	JS_SetMaxStackSize(runtime, STACK);
	JS_SetModuleLoaderFunc(runtime, NULL, load, NULL);

	JSValue global = JS_GetGlobalObject(js), args = JS_NewArray(js);
	for (int i = 2; i < argc; i++)
		JS_SetPropertyUint32(js, args, i - 2, JS_NewString(js, argv[i]));
	JS_SetPropertyStr(js, global, "args", args);
	JS_SetPropertyStr(js, global, "print", JS_NewCFunction(js, print, "print", 1));
	JS_SetPropertyStr(js, global, "stdin", JS_NewCFunction(js, standard_input, "stdin", 0));
	JS_FreeValue(js, global);

	int code = run(runtime, js, argv[1]);
	JS_FreeContext(js);
	JS_FreeRuntime(runtime);
	return code;
}
