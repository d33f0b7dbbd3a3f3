// Package configs reads the configuration: a strict YAML file, the command line's
// overrides and the defaults become the Options of every other package.
//
// All faults are found at once. Each names its file, line and column and shows the line;
// an unknown key comes with the nearest known one. The directory examples has files to
// start from, and reference.yaml among them has every key with its default.
package configs
