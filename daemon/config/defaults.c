/*
 * defaults.c - the table as a configuration file: every setting with its default, range and help.
 *
 * What it prints is a file that conf_read() takes as it is; sections with a name are comments.
 */
#include <errno.h>
#include <unistd.h>

#include "base/buf.h"
#include "config/output.h"
#include "config/value.h"

int output(int fd, struct slice text)
{
	while (text.n > 0) {
		ssize_t n = write(fd, text.p, text.n);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return NX_EIO;
		text.p += n;
		text.n -= (size_t)n;
	}
	return 0;
}

static void add_choices(struct buf *out, const char *choices)
{
	buf_addf(out, "; ");
	for (const char *p = choices; *p; p++) {
		if (*p == '|')
			buf_addf(out, " or ");
		else
			buf_add(out, p, 1);
	}
}

static void add_range(struct buf *out, const struct setting *setting)
{
	char least[32], most[32];

	switch (setting->kind) {
	case SET_SIZE:
		value_show_size(setting->least, least);
		value_show_size(setting->most, most);
		break;
	case SET_TIME:
		value_show_time(setting->least, least);
		value_show_time(setting->most, most);
		break;
	case SET_COUNT:
	case SET_PERCENT:
		value_show_size(setting->least, least);
		value_show_size(setting->most, most);
		break;
	case SET_SHARE:
		buf_addf(out, "; octets, or a percentage of store size");
		return;
	case SET_BOOL:
		buf_addf(out, "; yes or no");
		return;
	default:
		if (setting->choices)
			add_choices(out, setting->choices);
		return;
	}
	buf_addf(out, "; %s to %s%s", least, most, setting->kind == SET_PERCENT ? " percent" : "");
}

static void add_default(struct buf *out, const struct setting *setting)
{
	const char *fallback = setting->fallback;
	bool list = setting_is_list(setting);

	if (fallback == NULL)
		buf_addf(out, "%s = %s  # must be set\n", setting->name, list ? "{ }" : "\"\"");
	else if (*fallback == '=')
		buf_addf(out, "%s = \"\"  # when left out, as %s in limits\n", setting->name,
			 fallback + 1);
	else if (list && *fallback == '\0')
		buf_addf(out, "%s = { }\n", setting->name);
	else
		buf_addf(out, "%s = %s\"%s\"%s\n", setting->name, list ? "{ " : "", fallback,
			 list ? " }" : "");
}

static void add_section(struct buf *out, enum conf_section kind)
{
	const struct section_form *form = &conf_sections[kind];
	const char *mute = form->titled ? "# " : "";

	buf_addf(out, "\n# %s\n%s%s%s {\n", form->help, mute, form->name,
		 form->titled ? " NAME" : "");
	for (unsigned i = 0; i < conf_settings_n; i++) {
		const struct setting *setting = &conf_settings[i];

		if (setting->section != kind)
			continue;
		buf_addf(out, "%s\t# %s", mute, setting->help);
		add_range(out, setting);
		buf_addf(out, "%s\n%s\t", setting->when == AT_START ? " (taken at start)" : "",
			 mute);
		add_default(out, setting);
	}
	buf_addf(out, "%s}\n", mute);
}

int conf_print_defaults(int fd)
{
	struct buf out;
	int r;

	buf_init(&out, (size_t)1 << 20);
	buf_addf(&out, "# newsxd: every setting with its default; see newsxd.conf(5)\n");
	for (unsigned kind = 0; kind < SECTIONS; kind++)
		add_section(&out, (enum conf_section)kind);
	r = out.r < 0 ? out.r : output(fd, buf_slice(&out));
	buf_done(&out);
	return r;
}
