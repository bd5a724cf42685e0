"""Every code a document can be answered with: its stable number and what it means."""

from collections.abc import Mapping
from typing import NamedTuple


class Rule(NamedTuple):
    number: str
    explanation: str


RULES: Mapping[str, Rule] = {
    # the text
    "EmptyDocument": Rule("TG001", "The file holds no document."),
    "TooLarge": Rule("TG002", "A document may have 256 KiB, an argument 16 KiB."),
    "TooDeep": Rule("TG003", "Maps and lists may be nested 32 deep, template references 8, conditions 32."),
    "TooManyNodes": Rule("TG004", "A document may have 10 000 values."),
    "NotUtf8": Rule("TG005", "Documents are UTF-8."),
    "Syntax": Rule("TG006", "The text is not valid YAML, JSON, or not a valid condition."),
    "ControlCharacter": Rule("TG007", "Control characters and direction marks hide what a text says."),
    "AliasNotAllowed": Rule("TG008", "Anchors and aliases can make a small text expand without bound."),
    "MergeKeyNotAllowed": Rule("TG009", "Merge keys depend on anchors, and readers disagree about them."),
    "TagNotAllowed": Rule("TG010", "Only plain YAML types are read."),
    "DuplicateKey": Rule("TG011", "A key given twice: most readers silently keep the last."),
    "MultipleDocuments": Rule("TG012", "One document is wanted."),
    "AmbiguousScalar": Rule("TG013", "YAML 1.1 (Kubernetes) and 1.2 read this text differently."),
    "NotJsonNumber": Rule("TG014", "JSON has no NaN, no infinity, and no number beyond a 64-bit float."),
    "NumberTooLarge": Rule("TG015", "Integers have 64 bits."),
    # the shape
    "UnknownApiVersion": Rule("TG020", "The group and version are not known."),
    "WrongKind": Rule("TG021", "This kind is not wanted here."),
    "UnknownField": Rule("TG022", "A field that is not known; Argo drops it silently."),
    "UnknownValue": Rule("TG023", "The field takes one of a few words."),
    "UnknownProvider": Rule("TG024", "No provider of this name."),
    "WrongType": Rule("TG025", "The value is of another type than the field, or than the operator."),
    "OutOfRange": Rule("TG026", "The number is out of the field's range."),
    "Required": Rule("TG027", "A field that must be there is missing."),
    "ExactlyOne": Rule("TG028", "Exactly one of these fields must be set."),
    "NoProvider": Rule("TG029", "A metric asks exactly one provider."),
    "MultipleProviders": Rule("TG030", "A metric asks exactly one provider."),
    "NotInstalled": Rule("TG033", "Argo Rollouts knows the provider, nothing installed here can ask it."),
    "WrongProvider": Rule("TG031", "The provider gives a verdict, where data is wanted."),
    "BadName": Rule("TG032", "The name cannot be used."),
    # metrics
    "CannotFail": Rule("TG101", "With failureLimit >= count the metric ends before it can fail."),
    "AlwaysPasses": Rule("TG102", "Without conditions every measurement is Successful, whatever its value."),
    "IntervalRequired": Rule("TG103", "More than one measurement needs an interval."),
    "RunsForever": Rule("TG104", "An interval without a count never ends, and somebody waits for the end."),
    "NoMetrics": Rule("TG105", "Nothing would be measured."),
    "TooManyMetrics": Rule("TG106", "A run may have 200 metrics."),
    "DuplicateMetric": Rule("TG107", "Metric names are the keys of results."),
    "BadCount": Rule("TG108", "A count of 0 or of text counts as absent; a negative one ends after one measurement."),
    "NotAnInteger": Rule("TG109", "Text that is no integer counts as 0."),
    "NoLimits": Rule("TG110", "Neither failures nor successes could end the metric."),
    "CannotSucceed": Rule("TG111", "consecutiveSuccessLimit can never be reached."),
    "CountTooSmall": Rule("TG112", "The limits need more measurements than count allows."),
    "BadDuration": Rule("TG113", "Durations are Go's: 90s, 1h30m; there are no days."),
    "DurationNotPositive": Rule("TG114", "An interval that is not positive measures without a pause."),
    "IntervalTooShort": Rule("TG115", "Measuring more than once a second helps nobody."),
    "RunTooLong": Rule("TG116", "A run should end within 30 days."),
    "DelayTooLong": Rule("TG117", "The first measurement would come after the longest run has ended."),
    "TimeoutExceedsInterval": Rule("TG118", "A slow answer delays the measurements after it."),
    "NoGatingMetric": Rule("TG119", "Dry-run metrics decide nothing."),
    "RuleMatchesNothing": Rule("TG120", "A rule without a metric ends the run in Error."),
    "DuplicateRule": Rule("TG121", "Two rules with one pattern end the run in Error."),
    "BadRegex": Rule("TG122", "Patterns are RE2 regular expressions; an invalid one matches nothing."),
    "RegexTooLarge": Rule("TG123", "The pattern would need too much memory."),
    # conditions
    "UnknownName": Rule("TG201", "The condition uses a name that does not exist."),
    "UnknownFunction": Rule("TG202", "The condition calls a function that does not exist."),
    "NotAllowed": Rule("TG203", "The condition uses a name that is refused."),
    "TooLong": Rule("TG204", "A condition may have 4 KiB."),
    "NotBoolean": Rule("TG205", "A condition must give true or false."),
    "ResultType": Rule("TG206", "The provider's answer is of a type that the condition cannot use."),
    "ConstantCondition": Rule("TG207", "The condition does not depend on the result."),
    "TextComparison": Rule("TG208", "Texts are compared by character: \"10\" < \"9\"."),
    "IgnoredArgument": Rule("TG209", "default() and isNil() look at the whole result, as in Argo."),
    "EmptyPasses": Rule("TG210", "all() and none() are true for an empty list."),
    "UnguardedIndex": Rule("TG211", "Indexing an empty answer is an error."),
    "RangeFirstPoint": Rule("TG212", "The first point of a range is its oldest."),
    "ConditionsOverlap": Rule("TG213", "A value that meets both conditions is Failed."),
    "ConditionIgnored": Rule("TG214", "This provider brings its own verdict."),
    "BadPattern": Rule("TG215", "The pattern is not a regular expression of RE2."),
    "WindowGap": Rule("TG216", "A window shorter than the interval leaves time unwatched."),
    "WindowTooShort": Rule("TG217", "A rate needs two scrapes inside its window."),
    # arguments
    "MissingArg": Rule("TG301", "An argument without a value ends the run in Error."),
    "UnknownArg": Rule("TG302", "Nobody declares this argument."),
    "UndeclaredArg": Rule("TG303", "A tag that cannot be filled in ends the run in Error."),
    "UndeclaredArm": Rule("TG304", "An arm of the comparison lacks this value."),
    "UnusedArg": Rule("TG305", "The argument is declared and never used."),
    "UnclosedTag": Rule("TG306", "Braces that are opened and not closed."),
    "TagInValue": Rule("TG307", "Argument values are not expanded again."),
    "ArgInExpression": Rule("TG308", "Text can change what a condition means: `0 || true` passes everything."),
    "ArgInQuery": Rule("TG309", "Text that ends the quotes it stands in changes the query."),
    "SecretInQuery": Rule("TG310", "Queries are stored and shown."),
    "SecretNotHere": Rule("TG311", "Secrets are not known where this field is read."),
    "SecretOutsideNamespace": Rule("TG312", "Secrets are those of the run's namespace."),
    "SecretEmpty": Rule("TG313", "An empty secret authenticates nobody."),
    "SecretTooShort": Rule("TG314", "A short secret cannot be masked without saying what it is."),
    "SecretTrailingNewline": Rule("TG315", "A line break at the end is usually an accident."),
    "FieldRefUnresolved": Rule("TG316", "fieldRef works in a Rollout's own arguments only."),
    "EmptyInterval": Rule("TG317", "An empty interval means none."),
    "ArgConflict": Rule("TG318", "One argument is given two values."),
    # templates together
    "TemplateNotFound": Rule("TG401", "A referenced template does not exist."),
    "TemplateCycle": Rule("TG402", "A template refers to itself, directly or through others."),
    "Duplicate": Rule("TG403", "Two templates bring a metric or rule of one name."),
    # providers
    "BadAddress": Rule("TG501", "Addresses start with http:// or https://."),
    "CredentialsInUrl": Rule("TG502", "An address is stored and shown."),
    "HeaderInjection": Rule("TG503", "A line break would start another header."),
    "HeaderNotAllowed": Rule("TG504", "The client sets this header itself."),
    "BodyWithGet": Rule("TG505", "A GET has no body."),
    "NeedsV2": Rule("TG506", "Only Datadog's API v2 knows this field."),
    "TimeoutOutOfRange": Rule("TG507", "Timeouts are 1 to 300 seconds."),
    # comparisons
    "MarginRequired": Rule("TG601", "Without a margin a comparison does not know what is acceptable."),
    "ComparisonCount": Rule("TG602", "A comparison is one measurement that looks many times."),
    "SingleLook": Rule("TG603", "A fixed-size test may look once; more looks need a spending plan."),
    "BadComparison": Rule("TG604", "The comparison cannot be made as it is written."),
    "BadScore": Rule("TG605", "The score block cannot be used."),
    "OverlappingLooks": Rule("TG606", "Looks that share data count the same events more than once."),
    "UnusedField": Rule("TG607", "The comparison's test or data has no use for the field."),
    "OddSize": Rule("TG608", "The number is allowed, and mostly means something else."),
    "TooFewLooks": Rule("TG609", "A comparison learns from many looks."),
    "NoBuckets": Rule("TG610", "A histogram is compared by its buckets, which the label le tells apart."),
    "SummedCounters": Rule("TG611", "Restarts are seen per process; a sum over processes hides them."),
    "NoHistory": Rule("TG612", "A seasonal baseline is read from the provider's history."),
    "OutOfReach": Rule("TG613", "Test, margin, direction and time rule a verdict out, whatever the data."),
}  # fmt: skip


def number(code: str) -> str:
    """The rule's stable number, such as TG101; the code itself if it has none."""
    rule = RULES.get(code)
    return rule.number if rule else code


def explanation(code: str) -> str:
    rule = RULES.get(code)
    return rule.explanation if rule else ""
