package config

import (
	"fmt"
	"strings"
)

// Page is docs/configuration.md: every setting with its default and
// meaning, by subject. It says what the struct tags of [Config] say.
func Page() string {
	var page strings.Builder
	page.WriteString(settingsIntroduction)
	for _, field := range settingFields() {
		if group := field.Tag.Get("group"); group != "" {
			fmt.Fprintf(&page, "\n## %s\n\n| variable | default | SIGHUP | meaning |\n| --- | --- | --- | --- |\n", group)
		}
		value := field.Tag.Get("envDefault")
		if value != "" {
			value = "`" + value + "` "
		}
		name := field.Tag.Get("env")
		reload := ""
		if field.Tag.Get("reload") != "" {
			reload = "yes "
		}
		fmt.Fprintf(&page, "| `%s` | %s| %s| %s |\n", name, value, reload, strings.ReplaceAll(field.Tag.Get("doc"), "|", `\|`))
		if field.Tag.Get("secret") != "" {
			fmt.Fprintf(&page, "| `%s` | | %s| %s |\n", name+secretSuffix, reload, secretFileMeaning(name))
		}
	}
	return page.String()
}

const settingsIntroduction = `<!-- Written by "realtime config -o markdown" from the tags of internal/config.Config. Change those, not this page. -->

# Settings

Every setting is an environment variable. CONFIG_FILE names a TOML file with settings under the same names. The environment overrides
the file, and the file overrides the default. A setting that contains a secret can be in a separate file: NAME_FILE is the path of
a file whose content is NAME, without the end of the line. "realtime config" prints the settings in force and hides passwords, "realtime
config init" writes a settings file with every setting as a comment, and "realtime config check" checks a settings file.

If a value is out of its range, the program ends with status 2 and a line that names the variable, the value and the allowed values.
The same happens if settings contradict each other, such as a cap below another. If a combination is allowed but seldom intended, such as
every origin without tokens, the log and "realtime config" have a warning. With ENVIRONMENT=production, a combination that leaves the
service open is refused.

At SIGHUP a gateway reads CONFIG_FILE, the files of secrets, CATALOGUE_FILE and the certificate again. It applies the settings that have "yes" in
the third column without closing a connection; the others need a restart. If a new setting is invalid, nothing changes. Connected sockets
stay, even beyond a new limit, and keep the rates that they began with; a new idle timeout applies to them, too.

Durations have Go's format, such as 90s, 2m or 720h.
`
