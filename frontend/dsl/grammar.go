package dsl

import (
	"strings"

	"github.com/alecthomas/participle/v2"
	"github.com/alecthomas/participle/v2/lexer"
)

// The grammar, one statement at a time: the reader splits a file into statements before, so that a mistake in one does not
// hide those in the others. Statements inside braces belong to the one that the braces are of.

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
	Reveal  *reveal      `parser:" | 'reveal' @@"`
	For     *loop        `parser:" | 'for' @@"`
	If      *branch      `parser:" | 'if' @@"`
	Return  *expr        `parser:" | 'return' @@"`
	Table   *table       `parser:" | 'table' @@"`
	Assert  *assertion   `parser:" | 'assert' @@"`
	Import  *imported    `parser:" | 'import' 'model' @@"`
	Assign  *assignment  `parser:" | @@ )"`
}

type name struct {
	Pos  lexer.Position
	Text string `parser:"@(Ident | Keyword)"`
}

type binding struct {
	Name name  `parser:"@@ '='"`
	X    *expr `parser:"@@"`
}

// An assignment gives a name, or some of its elements, another meaning.
type assignment struct {
	Pos     lexer.Position
	Name    string    `parser:"@Ident"`
	Indices []indices `parser:"@@*"`
	Op      string    `parser:"@('=' | '+=' | '-=' | '*=')"`
	X       *expr     `parser:"@@"`
}

type declaration struct {
	Name name  `parser:"@@ ':'"`
	Type typ   `parser:"@@ 'from'"`
	From name  `parser:"@@"`
	Lo   *expr `parser:"('in' @@ '..'"`
	Hi   *expr `parser:"@@)?"`
}

// A table is columns of one length, with one owner.
type table struct {
	Name    name     `parser:"@@"`
	Rows    *expr    `parser:"('[' @@ ']')? 'from'"`
	From    name     `parser:"@@ '{'"`
	Columns []column `parser:"@@ (',' @@)* ','? '}'"`
}

type column struct {
	Name name  `parser:"@@ ':'"`
	Type typ   `parser:"@@"`
	Lo   *expr `parser:"('in' @@ '..'"`
	Hi   *expr `parser:"@@)?"`
}

type typ struct {
	Pos    lexer.Position
	Elem   string  `parser:"@Ident"`
	Places *expr   `parser:"('(' @@ ')')?"`
	Dims   []*expr `parser:"('[' (@@ (',' @@)*)? ']')?"`
}

type function struct {
	Name   name         `parser:"@@ '('"`
	Params []param      `parser:"(@@ (',' @@)* ','?)? ')'"`
	Body   []*statement `parser:"'{' @@* '}'"`
}

type param struct {
	Name    name  `parser:"@@"`
	Type    *typ  `parser:"(':' @@)?"`
	Default *expr `parser:"('=' @@)?"`
}

type reveal struct {
	X  *expr  `parser:"@@ 'to'"`
	To []name `parser:"@@ (',' @@)*"`
	As *name  `parser:"('as' @@)?"`
}

// A loop goes over lo..hi, both included, or over the elements of a list.
type loop struct {
	Var  name         `parser:"@@ 'in'"`
	Lo   *expr        `parser:"@@"`
	Hi   *expr        `parser:"('..' @@)?"`
	Body []*statement `parser:"'{' @@* '}'"`
}

type branch struct {
	Pos  lexer.Position
	Cond *expr        `parser:"@@"`
	Then []*statement `parser:"'{' @@* '}'"`
	Elif *branch      `parser:"('else' ('if' @@"`
	Else []*statement `parser:"| '{' @@* '}'))?"`
}

type assertion struct {
	X   *expr   `parser:"@@"`
	Say *string `parser:"(',' @String)?"`
}

type imported struct {
	File string `parser:"@String 'as'"`
	Pos  lexer.Position
	Name name  `parser:"@@"`
	From *name `parser:"('from' @@)?"`
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
	Pos  lexer.Position
	X    *primary `parser:"@@"`
	Rest []suffix `parser:"@@*"`
}

// A suffix is indices in brackets or the name of a column behind a dot.
type suffix struct {
	Pos     lexer.Position
	Indices *indices `parser:"  @@"`
	Field   string   `parser:"| '.' @(Ident | Keyword)"`
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
	Pos    lexer.Position
	Float  *string `parser:"  @Float"`
	Int    *string `parser:"| @Int"`
	Bool   *string `parser:"| @('true' | 'false')"`
	Text   *string `parser:"| @String"`
	Call   *call   `parser:"| @@"`
	Name   *string `parser:"| @Ident"`
	Paren  *expr   `parser:"| '(' @@ ')'"`
	List   *list   `parser:"| @@"`
	Record *record `parser:"| @@"`
}

type call struct {
	Name name       `parser:"@@ '('"`
	Args []argument `parser:"(@@ (',' @@)* ','?)? ')'"`
}

type argument struct {
	Name *name `parser:"(@@ '=')?"`
	X    *expr `parser:"@@"`
}

type list struct {
	Items []*expr `parser:"'[' (@@ (',' @@)* ','?)? ']'"`
}

// A record is columns by name.
type record struct {
	Fields []field `parser:"'{' @@ (',' @@)* ','? '}'"`
}

type field struct {
	Name name  `parser:"@@ ':'"`
	X    *expr `parser:"@@"`
}

// reservedWords are those that no name may be. The words table, assert, import and model begin statements and are names elsewhere.
var reservedWords = []string{"parties", "dealer", "const", "input", "weight", "let", "fn", "return", "reveal", "to", "as", "from", "in", "and", "or", "not", "true", "false", "for", "if", "else"}

var rules = lexer.MustSimple([]lexer.SimpleRule{
	{Name: "Comment", Pattern: `#[^\n]*`},
	{Name: "Space", Pattern: `[ \t\r\n]+`},
	{Name: "String", Pattern: `"[^"\n]*"`},
	{Name: "Float", Pattern: `[0-9][0-9_]*(\.[0-9][0-9_]*([eE][+-]?[0-9]+)?|[eE][+-]?[0-9]+)`},
	{Name: "Int", Pattern: `[0-9][0-9_]*`},
	{Name: "Keyword", Pattern: `(` + strings.Join(reservedWords, "|") + `)\b`},
	{Name: "Ident", Pattern: `[A-Za-z_][A-Za-z0-9_]*`},
	{Name: "Op", Pattern: `<=|>=|==|!=|\+=|-=|\*=|\.\.|[-+*/@<>=()\[\]{},:.]`},
})

var grammar = participle.MustBuild[statement](participle.Lexer(rules), participle.Elide("Comment", "Space"), participle.UseLookahead(2))
