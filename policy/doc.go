// Package policy decides what the configuration has to say about mail: who may relay,
// which rules accept, refuse or defer, and which route mail takes.
//
// Conditions are expressions (expr-lang/expr), compiled and type-checked against what is
// known at their stage when the Policy is made, so a misspelt name is an error of the
// configuration with its position. Everything fails closed: a condition that cannot be
// evaluated is a temporary refusal, never a pass.
package policy
