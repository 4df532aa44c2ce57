package dsl

import (
	"github.com/alecthomas/participle/v2"
	"github.com/alecthomas/participle/v2/lexer"
)

// The grammar, one statement at a time: the reader splits a file into statements before, so that a mistake in one does not
// hide those in the others.

type statement struct {
	Pos     lexer.Position
	Parties []name       `parser:"(  'parties' @@ (',' @@)*"`
	Dealer  *name        `parser:" | 'dealer' @@"`
	Guests  []name       `parser:" | 'guests' @@ (',' @@)*"`
	Const   *binding     `parser:" | 'const' @@"`
	Input   *declaration `parser:" | 'input' @@"`
	Weight  *declaration `parser:" | 'weight' @@"`
	Let     *binding     `parser:" | 'let' @@"`
	Fn      *function    `parser:" | 'fn' @@"`
	Reveal  *reveal      `parser:" | 'reveal' @@ )"`
}

type name struct {
	Pos  lexer.Position
	Text string `parser:"@Ident"`
}

type binding struct {
	Name name  `parser:"@@ '='"`
	X    *expr `parser:"@@"`
}

type declaration struct {
	Name name  `parser:"@@ ':'"`
	Type typ   `parser:"@@ 'from'"`
	From name  `parser:"@@"`
	Lo   *expr `parser:"('in' @@ '..'"`
	Hi   *expr `parser:"@@)?"`
}

type typ struct {
	Pos  lexer.Position
	Elem string  `parser:"@Ident"`
	Dims []*expr `parser:"('[' (@@ (',' @@)*)? ']')?"`
}

type function struct {
	Name   name      `parser:"@@ '('"`
	Params []param   `parser:"(@@ (',' @@)*)? ')' '{'"`
	Lets   []binding `parser:"('let' @@)*"`
	Return *expr     `parser:"'return' @@ '}'"`
}

type param struct {
	Name name `parser:"@@"`
	Type *typ `parser:"(':' @@)?"`
}

type reveal struct {
	X  *expr  `parser:"@@ 'to'"`
	To []name `parser:"@@ (',' @@)*"`
	As name   `parser:"'as' @@"`
}

// An expr is a disjunction; the levels below bind tighter.
type expr struct {
	Pos  lexer.Position
	Args []*conjunction `parser:"@@ ('or' @@)*"`
}

type conjunction struct {
	Pos  lexer.Position
	Args []*negation `parser:"@@ ('and' @@)*"`
}

type negation struct {
	Pos  lexer.Position
	Nots []string    `parser:"@'not'*"`
	X    *comparison `parser:"@@"`
}

type comparison struct {
	Pos lexer.Position
	X   *sum   `parser:"@@"`
	Op  string `parser:"(@('<=' | '>=' | '==' | '!=' | '<' | '>')"`
	Y   *sum   `parser:"@@)?"`
}

type sum struct {
	Pos  lexer.Position
	X    *product  `parser:"@@"`
	Rest []sumTail `parser:"@@*"`
}

type sumTail struct {
	Pos lexer.Position
	Op  string   `parser:"@('+' | '-')"`
	X   *product `parser:"@@"`
}

type product struct {
	Pos  lexer.Position
	X    *unary        `parser:"@@"`
	Rest []productTail `parser:"@@*"`
}

type productTail struct {
	Pos lexer.Position
	Op  string `parser:"@('*' | '/' | '@')"`
	X   *unary `parser:"@@"`
}

type unary struct {
	Pos   lexer.Position
	Minus []string `parser:"@'-'*"`
	X     *postfix `parser:"@@"`
}

type postfix struct {
	Pos     lexer.Position
	X       *primary  `parser:"@@"`
	Indices []indices `parser:"@@*"`
}

type indices struct {
	Pos  lexer.Position
	List []index `parser:"'[' @@ (',' @@)* ']'"`
}

// An index is one position, or a slice from:to.
type index struct {
	Pos   lexer.Position
	From  *expr  `parser:"@@?"`
	Colon string `parser:"@':'?"`
	To    *expr  `parser:"@@?"`
}

type primary struct {
	Pos   lexer.Position
	Float *string `parser:"  @Float"`
	Int   *string `parser:"| @Int"`
	Bool  *string `parser:"| @('true' | 'false')"`
	Call  *call   `parser:"| @@"`
	Name  *string `parser:"| @Ident"`
	Paren *expr   `parser:"| '(' @@ ')'"`
	List  *list   `parser:"| @@"`
}

type call struct {
	Name name    `parser:"@@ '('"`
	Args []*expr `parser:"(@@ (',' @@)*)? ')'"`
}

type list struct {
	Items []*expr `parser:"'[' (@@ (',' @@)*)? ']'"`
}

var rules = lexer.MustSimple([]lexer.SimpleRule{
	{Name: "Comment", Pattern: `#[^\n]*`},
	{Name: "Space", Pattern: `[ \t\r\n]+`},
	{Name: "Float", Pattern: `[0-9][0-9_]*(\.[0-9][0-9_]*([eE][+-]?[0-9]+)?|[eE][+-]?[0-9]+)`},
	{Name: "Int", Pattern: `[0-9][0-9_]*`},
	{Name: "Ident", Pattern: `[A-Za-z_][A-Za-z0-9_]*`},
	{Name: "Op", Pattern: `<=|>=|==|!=|\.\.|[-+*/@<>=()\[\]{},:]`},
})

var grammar = participle.MustBuild[statement](participle.Lexer(rules), participle.Elide("Comment", "Space"), participle.UseLookahead(2))
