// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "cli/args.h"
#include "cli/command.h"
#include "cli/suggest.h"

#define PARSE(args, err, ...)                                                                      \
	({                                                                                         \
		char *argv_[] = {"raio", ##__VA_ARGS__};                                           \
		args_parse(args, (int)ARRAY_SIZE(argv_), argv_, err);                              \
	})

static void finds_commands_by_noun_and_verb_and_by_shorthand(void **state)
{
	struct args args;
	struct error err;
	assert_int_equal(PARSE(&args, &err, "function", "create", "w", "w.c"), 0);
	const struct command *create = args.command;
	assert_string_equal(create->verb, "create");
	assert_int_equal(PARSE(&args, &err, "create", "w", "w.c"), 0);
	assert_ptr_equal(args.command, create);
	assert_string_equal(args_word(&args, 1), "w.c");
	assert_null(args_word(&args, 2));
}

static void takes_a_noun_alone_or_with_a_name_as_its_default_verb(void **state)
{
	struct args args;
	struct error err;
	assert_int_equal(PARSE(&args, &err, "map"), 0);
	assert_string_equal(args.command->verb, "show");
	assert_int_equal(PARSE(&args, &err, "map", "routes"), 0);
	assert_string_equal(args.command->verb, "show");
	assert_string_equal(args_word(&args, 0), "routes");
	assert_int_equal(PARSE(&args, &err, "run", "cancel", "r1"), 0);
	assert_string_equal(args.command->verb, "cancel");
	assert_int_equal(PARSE(&args, &err, "run", "wire"), 0);
	assert_string_equal(args.command->verb, "start");
}

static void takes_options_anywhere_and_values_in_every_form(void **state)
{
	struct args args;
	struct error err;
	assert_int_equal(PARSE(&args, &err, "-o", "json", "run", "--slice=7", "wire", "-ojson",
	                         "--ports", "0,1", "--no-wait"),
	        0);
	assert_string_equal(args.command->verb, "start");
	assert_string_equal(args_word(&args, 0), "wire");
	assert_string_equal(args_value(&args, "slice"), "7");
	assert_string_equal(args_value(&args, "ports"), "0,1");
	assert_string_equal(args_value(&args, "output"), "json");
	assert_true(args_has(&args, "no-wait"));
	assert_false(args_has(&args, "wait"));
}

static void takes_words_behind_two_dashes_and_negative_numbers_as_arguments(void **state)
{
	struct args args;
	struct error err;
	assert_int_equal(PARSE(&args, &err, "map", "set", "m", "--", "--key", "-v"), 0);
	assert_string_equal(args_word(&args, 1), "--key");
	assert_int_equal(PARSE(&args, &err, "map", "set", "m", "-1", "-2"), 0);
	assert_string_equal(args_word(&args, 2), "-2");
}

static void says_what_is_wrong_and_what_was_meant(void **state)
{
	static const struct {
		char *words[4];
		const char *text;
	} cases[] = {
	        {{"craete"}, "no command 'craete'; did you mean 'create'?"},
	        {{"xyzzyplugh"}, "no command 'xyzzyplugh'; 'raio help' lists them"},
	        {{"queue", "lits"}, "'queue' has no verb 'lits'; did you mean 'list'?"},
	        {{"map", "lod", "m", "f"}, "'map' has no verb 'lod'; did you mean 'load'?"},
	        {{"run", "wire", "--slize", "3"},
	                "no option '--slize' here; did you mean '--slice'?"},
	        {{"run", "wire", "--slice"}, "option --slice needs a value: --slice TIME"},
	        {{"run", "wire", "--no-wait=1"}, "option --no-wait takes no value"},
	        {{"run"}, "NAME is missing"},
	        {{"create", "w"}, "FILE is missing"},
	        {{"delete", "a", "b"}, "'b' is one word too many"},
	        {{"list", "-x"}, "no option '-x' here"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct args args;
		struct error err = {0};
		char *argv[5] = {"raio"};
		int argc = 1;
		while (argc < 5 && cases[i].words[argc - 1]) {
			argv[argc] = cases[i].words[argc - 1];
			if (++argc == 5)
				break;
		}
		assert_int_equal(args_parse(&args, argc, argv, &err), -22);
		assert_string_equal(err.text, cases[i].text);
	}
}

static void asks_for_no_arguments_where_help_is_wanted(void **state)
{
	struct args args;
	struct error err;
	assert_int_equal(PARSE(&args, &err, "map", "set", "--help"), 0);
	assert_string_equal(args.command->verb, "set");
}

static void resolves_a_unique_prefix_only(void **state)
{
	static const char *const names[] = {"wire", "wireless", "ddos"};
	size_t index = 9;
	assert_int_equal(suggest_prefix("wi", names, 3, &index), SUGGEST_MANY);
	assert_int_equal(suggest_prefix("wire", names, 3, &index), SUGGEST_ONE);
	assert_int_equal(index, 0);
	assert_int_equal(suggest_prefix("d", names, 3, &index), SUGGEST_ONE);
	assert_int_equal(index, 2);
	assert_int_equal(suggest_prefix("x", names, 3, &index), SUGGEST_NONE);
	assert_string_equal(suggest_nearest("wier", names, 3), "wire");
	assert_null(suggest_nearest("router", names, 3));
}

static void has_a_row_for_each_command_that_a_reader_can_use(void **state)
{
	for (size_t i = 0; i < command_count; i++) {
		const struct command *command = &command_table[i];
		assert_non_null(command->run);
		if (command->noun[0] == '_')
			continue;
		assert_true(strlen(command->summary) > 5);
		for (size_t j = 0; j < i; j++) {
			const struct command *other = &command_table[j];
			assert_false(strcmp(other->noun, command->noun) == 0 &&
			             strcmp(other->verb ? other->verb : "",
			                     command->verb ? command->verb : "") == 0);
		}
		for (const struct option *o = command->options; o && o->name; o++) {
			assert_true(strlen(o->summary) > 5);
			for (const struct option *g = command_global_options; g->name; g++) {
				assert_string_not_equal(o->name, g->name);
				assert_false(o->letter && o->letter == g->letter);
			}
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(finds_commands_by_noun_and_verb_and_by_shorthand),
	        cmocka_unit_test(takes_a_noun_alone_or_with_a_name_as_its_default_verb),
	        cmocka_unit_test(takes_options_anywhere_and_values_in_every_form),
	        cmocka_unit_test(takes_words_behind_two_dashes_and_negative_numbers_as_arguments),
	        cmocka_unit_test(says_what_is_wrong_and_what_was_meant),
	        cmocka_unit_test(asks_for_no_arguments_where_help_is_wanted),
	        cmocka_unit_test(resolves_a_unique_prefix_only),
	        cmocka_unit_test(has_a_row_for_each_command_that_a_reader_can_use),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
