"""Fields of a run, in the reference, as a person sets them: without marks of rllab's own in types and defaults."""

import griffe


class Fields(griffe.Extension):
    """`Annotated[int, Changes.SEARCH]` is `int`, and `_frames("env.max_frame", 100_000)` is `100_000`."""

    def on_attribute_instance(self, *, attr, **_):
        """Once an attribute has been read from the source."""
        if isinstance(attr.annotation, griffe.ExprSubscript) and str(attr.annotation.left) == "Annotated":
            attr.annotation = attr.annotation.slice.elements[0]
        if isinstance(attr.value, griffe.ExprCall):
            function, arguments = str(attr.value.function), attr.value.arguments
            if function == "_frames":
                attr.value = arguments[1]
            elif function == "field":
                factory = arguments[0].value
                attr.value = factory.body if isinstance(factory, griffe.ExprLambda) else f"{factory}()"
