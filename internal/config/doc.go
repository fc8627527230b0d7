// Package config holds the settings of the service: one environment variable each,
// with its default, its range and its meaning in the tags of [Config].
//
// [Load] reads and validates them. The gateway and the operators' commands are
// configured with the same [Config]; this package opens nothing and starts nothing.
package config
