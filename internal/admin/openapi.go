package admin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// object is a JSON object.
type object = map[string]any

// openAPI writes the OpenAPI 3.1 document of a table of routes.
func openAPI(routes []route) ([]byte, error) {
	paths := make(object)
	for _, r := range routes {
		operation := object{
			"summary": r.summary, "operationId": operationID(r),
			"security":  []object{{"bearer": []string{}}},
			"x-role":    string(RoleRead),
			"responses": responses(r),
		}
		if r.change {
			operation["x-role"] = string(RoleOperate)
			operation["requestBody"] = object{"required": true, "content": content(reflect.TypeOf(r.body))}
		}
		var parameters []object
		for _, p := range r.query {
			schema := object{"type": "string"}
			if p.number {
				schema = object{"type": "integer", "minimum": 0}
			}
			parameters = append(parameters, object{"name": p.name, "in": "query", "required": p.required, "description": p.doc, "schema": schema})
		}
		if parameters != nil {
			operation["parameters"] = parameters
		}
		path, found := paths[r.path].(object)
		if !found {
			path = make(object)
			paths[r.path] = path
		}
		path[strings.ToLower(r.method)] = operation
	}
	document, err := json.MarshalIndent(object{
		"openapi": "3.1.0",
		"info": object{
			"title": "Realtime: operators' API", "version": "1",
			"description": "On ADMIN_ADDR, or without it on the public port. The role operate may do everything, the role read what is x-role read.",
		},
		"servers": []object{{"url": Prefix}},
		"paths":   paths,
		"components": object{
			"securitySchemes": object{"bearer": object{"type": "http", "scheme": "bearer", "description": "INTERNAL_TOKEN (operate) or ADMIN_READ_TOKEN (read)"}},
			"schemas": object{"Problem": object{
				"type": "object", "required": []string{"code", "message"},
				"properties": object{
					"code": object{"type": "string"}, "message": object{"type": "string"},
					"outcome": object{"description": "what a change had done before it failed, as the answer of one that succeeds"},
				},
			}},
		},
	}, "", " ")
	if err != nil {
		return nil, fmt.Errorf("write the OpenAPI document: %w", err)
	}
	return append(document, '\n'), nil
}

// responses describes the answers of a route.
func responses(r route) object {
	all := object{"default": object{"description": "refused, or failed", "content": object{
		"application/json": object{"schema": object{"$ref": "#/components/schemas/Problem"}},
	}}}
	answers := r.answers
	if answers == nil {
		answers = map[int]string{http.StatusOK: "done"}
	}
	for status, meaning := range answers {
		all[strconv.Itoa(status)] = object{"description": meaning, "content": content(reflect.TypeOf(r.answer))}
	}
	return all
}

// operationID names a route, as in getJobEvents.
func operationID(r route) string {
	name := "get"
	if r.method == http.MethodPost {
		name = "post"
	}
	for _, word := range strings.FieldsFunc(r.path, func(c rune) bool { return c == '/' || c == '.' }) {
		name += strings.ToUpper(word[:1]) + word[1:]
	}
	return name
}

func content(t reflect.Type) object {
	return object{"application/json": object{"schema": schemaOf(t)}}
}

var (
	timeType = reflect.TypeFor[time.Time]()
	rawType  = reflect.TypeFor[json.RawMessage]()
)

// schemaOf returns the JSON Schema of what encoding/json makes of a type. The types of this
// package contain no cycle.
func schemaOf(t reflect.Type) object {
	switch {
	case t == nil, t == rawType, t.Kind() == reflect.Interface:
		return object{}
	case t == timeType:
		return object{"type": "string", "format": "date-time"}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return object{"anyOf": []object{schemaOf(t.Elem()), {"type": "null"}}}
	case reflect.String:
		return object{"type": "string"}
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return object{"type": "string", "contentEncoding": "base64"}
		}
		return object{"type": "array", "items": schemaOf(t.Elem())}
	case reflect.Map:
		return object{"type": "object", "additionalProperties": schemaOf(t.Elem())}
	case reflect.Struct:
		properties, required := make(object), []string{}
		for _, field := range reflect.VisibleFields(t) {
			if field.Anonymous {
				continue // its fields are visible, and stand for it in JSON
			}
			if !field.IsExported() {
				continue // not in JSON
			}
			name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
			properties[name] = schemaOf(field.Type)
			if !strings.Contains(options, "omitempty") {
				required = append(required, name)
			}
		}
		return object{"type": "object", "properties": properties, "required": required, "additionalProperties": false}
	case reflect.Float32, reflect.Float64:
		return object{"type": "number"}
	default:
		return object{"type": "integer"}
	}
}
