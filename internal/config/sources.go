package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/BurntSushi/toml"
)

// Settings come from the environment, and from the file that CONFIG_FILE names for what
// the environment does not set. Either may name a file that has a secret in place of the
// secret: NAME_FILE for NAME.

const (
	settingsFile = "CONFIG_FILE"
	secretSuffix = "_FILE"
	// maxSettingsBytes bounds the settings file, and each file with a secret.
	maxSettingsBytes = 1 << 20
)

// gather returns the settings as variables, and which secrets were read from which file.
func gather(environ map[string]string) (variables, secretFiles map[string]string, err error) {
	environ = withoutEmpty(environ)
	variables = maps.Clone(environ)
	if file := environ[settingsFile]; file != "" {
		fromFile, err := readSettings(file)
		if err != nil {
			return variables, nil, fmt.Errorf("%s is %q: %w", settingsFile, file, err)
		}
		for name, value := range fromFile {
			if !isSet(environ, name) {
				variables[name] = value
			}
		}
	}
	secretFiles = make(map[string]string)
	var problems []error
	for _, name := range secretNames() {
		file := variables[name+secretSuffix]
		if file == "" {
			continue
		}
		if variables[name] != "" {
			problems = append(problems, fmt.Errorf("%s and %s%s are set: the secret comes from one place", name, name, secretSuffix))
			continue
		}
		secret, err := readBounded(file)
		if err != nil {
			problems = append(problems, fmt.Errorf("%s%s: %w", name, secretSuffix, err))
			continue
		}
		if variables[name] = string(bytes.TrimRight(secret, "\r\n")); variables[name] == "" {
			problems = append(problems, fmt.Errorf("%s%s: %s is empty", name, secretSuffix, file))
		}
		secretFiles[name] = file
	}
	return variables, secretFiles, errors.Join(problems...)
}

// withoutEmpty returns the variables without those of OpenTelemetry that are empty: its
// specification says that these count as unset.
func withoutEmpty(variables map[string]string) map[string]string {
	set := make(map[string]string, len(variables))
	for name, value := range variables {
		if value != "" || !strings.HasPrefix(name, "OTEL_") {
			set[name] = value
		}
	}
	return set
}

// isSet reports whether the environment sets a variable. A secret and the file of it are
// one setting.
func isSet(environ map[string]string, name string) bool {
	has := func(name string) bool { _, set := environ[name]; return set }
	secret := strings.TrimSuffix(name, secretSuffix)
	if slices.Contains(secretNames(), secret) {
		return has(secret) || has(secret+secretSuffix)
	}
	return has(name)
}

// readSettings reads a settings file: TOML, one key for each variable.
func readSettings(file string) (map[string]string, error) {
	text, err := readBounded(file)
	if err != nil {
		return nil, err
	}
	var values map[string]any
	if err := toml.Unmarshal(text, &values); err != nil {
		// The error of the parser itself repeats the line, which may have a secret.
		var parse toml.ParseError
		if errors.As(err, &parse) {
			return nil, fmt.Errorf("line %d is not TOML", parse.Position.Line)
		}
		return nil, errors.New("it is not TOML")
	}
	variables := make(map[string]string, len(values))
	var problems []error
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if !isVariable(name) {
			problems = append(problems, fmt.Errorf("there is no setting %q", name))
			continue
		}
		value, ok := asVariable(values[name])
		if !ok {
			problems = append(problems, fmt.Errorf("%s: want a string, a number, true, false, or a list of strings", name))
			continue
		}
		variables[name] = value
	}
	return variables, errors.Join(problems...)
}

// asVariable returns a value of a settings file as the environment would have it.
func asVariable(value any) (text string, ok bool) {
	switch value := value.(type) {
	case string:
		return value, true
	case int64:
		return strconv.FormatInt(value, 10), true
	case bool:
		return strconv.FormatBool(value), true
	case []any:
		parts := make([]string, len(value))
		for i, part := range value {
			if parts[i], ok = part.(string); !ok {
				return "", false
			}
		}
		return strings.Join(parts, ","), true
	}
	return "", false
}

// readBounded reads a small file.
func readBounded(name string) ([]byte, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxSettingsBytes+1))
	if err == nil && len(text) > maxSettingsBytes {
		err = fmt.Errorf("%s is larger than %d bytes", name, maxSettingsBytes)
	}
	return text, err
}

// settingFields returns the fields of [Config] that are settings, in order.
func settingFields() []reflect.StructField {
	return slices.DeleteFunc(reflect.VisibleFields(reflect.TypeFor[Config]()), func(field reflect.StructField) bool {
		return !field.IsExported()
	})
}

// secretNames returns the names of the settings that have a secret in them.
func secretNames() (names []string) {
	for _, field := range settingFields() {
		if field.Tag.Get("secret") != "" {
			names = append(names, field.Tag.Get("env"))
		}
	}
	return names
}

// isVariable reports whether a settings file may set a variable.
func isVariable(name string) bool {
	secret, isFile := strings.CutSuffix(name, secretSuffix)
	return name != settingsFile && slices.ContainsFunc(settingFields(), func(field reflect.StructField) bool {
		return field.Tag.Get("env") == name || isFile && field.Tag.Get("secret") != "" && field.Tag.Get("env") == secret
	})
}

// secretFileMeaning is what the variable means that names a file with a secret.
func secretFileMeaning(name string) string { return "file with " + name + ", in its place" }
