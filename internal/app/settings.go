package app

import (
	"fmt"
	"net/url"
	"reflect"
	"strings"
)

// Setting is one setting as people see it.
type Setting struct {
	Name    string `json:"name"`
	Value   string `json:"value"`
	Default string `json:"default"`
	Meaning string `json:"meaning"`
}

// Settings lists the effective settings in the order of the struct, with
// passwords hidden.
func (c Config) Settings() []Setting {
	value := reflect.ValueOf(c)
	var settings []Setting
	for _, field := range reflect.VisibleFields(value.Type()) {
		setting := Setting{
			Name:    field.Tag.Get("env"),
			Value:   format(value.FieldByIndex(field.Index)),
			Default: field.Tag.Get("envDefault"),
			Meaning: field.Tag.Get("doc"),
		}
		setting.Value = redact(field, setting.Value)
		settings = append(settings, setting)
	}
	return settings
}

func format(value reflect.Value) string {
	if list, ok := value.Interface().([]string); ok {
		return strings.Join(list, ",")
	}
	return fmt.Sprint(value.Interface())
}

// redact hides what is secret in the value of a setting: the passwords in
// addresses, or all of it.
func redact(field reflect.StructField, value string) string {
	switch {
	case value == "":
		return ""
	case field.Tag.Get("secret") == "url":
		return redactURL(value)
	case field.Tag.Get("secret") == "value":
		return "(hidden)"
	}
	return value
}

// redactURL hides the password of each address in a comma-separated list. What
// cannot be read as an address is hidden whole, when it may hold a password.
func redactURL(list string) string {
	parts := strings.Split(list, ",")
	for i, part := range parts {
		u, err := url.Parse(part)
		switch {
		case err == nil && u.User != nil:
			parts[i] = u.Redacted()
		case strings.Contains(part, "@"):
			parts[i] = "(hidden)"
		}
	}
	return strings.Join(parts, ",")
}
