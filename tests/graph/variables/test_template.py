"""Templates share the variables that their first call makes."""

import pytest

import weftwork as tf


@pytest.fixture(autouse=True)
def graph():
    with tf.Graph().as_default() as graph:
        yield graph


def test_all_calls_share_the_variables_of_the_first():
    def scaled(x, by):
        return x * tf.get_variable("w", [], initializer=tf.constant_initializer(by))

    template = tf.make_template("scale", scaled, by=3.0)
    assert template.name == "scale"
    assert (template.variables, template.variable_scope) == ([], None)
    one = template(tf.constant(1.0))
    with tf.variable_scope("elsewhere"):
        two = template(tf.constant(2.0))
    assert [v.name for v in template.trainable_variables] == ["scale/w:0"]
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        assert session.run([one, two]) == [3.0, 6.0]


def test_templates_of_one_name_are_two_unless_the_name_is_to_be_unique():
    def make():
        return tf.get_variable("v", [])

    first, second = tf.make_template("t", make), tf.make_template("t", make)
    assert [first().name, second().name, first().name] == ["t/v:0", "t_1/v:0", "t/v:0"]
    one, other = (tf.make_template("t", make, unique_name_="shared") for _ in range(2))
    assert one().name == "shared/v:0"
    with pytest.raises(ValueError, match="already exists"):
        other()


def test_the_scope_of_a_template_may_be_made_before_its_first_call():
    def make():
        return tf.get_variable("v", [])

    early = tf.make_template("t", make, create_scope_now_=True)
    late = tf.make_template("t", make)
    assert [late().name, early().name, early().name] == ["t_1/v:0", "t/v:0", "t/v:0"]


def test_a_variable_that_each_call_would_make_anew_is_refused():
    template = tf.make_template("t", lambda: tf.Variable(1.0))
    template()
    with pytest.raises(ValueError, match="Trainable variable created when calling a template after the first time"):
        template()


def test_a_template_tells_the_scope_of_its_variables():
    template = tf.make_template("t", lambda: tf.get_variable("v", []))
    assert template.variable_scope_name is None
    template()
    assert (template.variable_scope_name, template.var_scope.name) == ("t/", "t")


def test_a_scope_made_at_once_leaves_its_name_to_the_first_call(graph):
    double = tf.make_template("t", lambda x: x * tf.get_variable("w", []), create_scope_now_=True)
    assert [double(tf.constant(1.0)).name for _ in range(2)] == ["t/mul:0", "t_1/mul:0"]
